#include "protocol/manifest.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "base/rng.h"

namespace rubato::protocol {
namespace {

using ::testing::HasSubstr;

ParameterSpec parameter(std::string name, std::vector<std::int64_t> shape) {
  ParameterSpec spec;
  spec.name = std::move(name);
  spec.shape = std::move(shape);
  return spec;
}

Manifest lenet() {
  Manifest manifest;
  for (const auto& [name, shape] :
       std::vector<std::pair<std::string, std::vector<std::int64_t>>>{{"conv1", {6, 5, 5, 1}},
                                                                      {"conv2", {16, 5, 5, 6}},
                                                                      {"fc1", {120, 400}},
                                                                      {"fc2", {84, 120}},
                                                                      {"fc3", {10, 84}}}) {
    manifest.push_back(parameter(name + ".weight", shape));
    manifest.push_back(parameter(name + ".bias", {shape[0]}));
    manifest.back().decay = 0.0;
  }
  return manifest;
}

// Parameters of sizes from 1 to some 2^20 elements, and rules of three kinds in runs.
Manifest random_manifest(std::uint64_t seed) {
  RandomStream random(stream_key(seed, "manifest"));
  Manifest manifest;
  for (std::uint64_t n = 1 + random.below(20); n > 0; --n) {
    const auto rows = static_cast<std::int64_t>(1 + random.below(std::uint64_t{1} << random.below(11)));
    const auto columns = static_cast<std::int64_t>(1 + random.below(std::uint64_t{1} << random.below(11)));
    manifest.push_back(parameter(fmt::format("p{}", n), {rows, columns}));
    const std::uint64_t rule = random.below(4);
    manifest.back().decay = rule == 1 ? 0.0 : kUsualDecay;
    manifest.back().rate_scale = rule == 2 ? 0.5 : 1.0;
    manifest.back().average = rule == 3 ? 0.1f : 0.0f;
  }
  return manifest;
}

// Slices in order of their ids walk through the model backwards, each parameter from its first element to
// its last: so every element is in one piece, once.
void expect_every_element_once(const Manifest& manifest, const std::vector<SliceSpec>& slices) {
  std::size_t at = manifest.size() - 1;
  std::uint64_t next = 0;
  for (const SliceSpec& slice : slices) {
    ASSERT_FALSE(slice.pieces.empty());
    for (const Piece& piece : slice.pieces) {
      if (next == static_cast<std::uint64_t>(manifest[at].elements())) {
        ASSERT_GT(at, 0u);
        --at;
        next = 0;
      }
      ASSERT_EQ(piece.parameter, at);
      ASSERT_EQ(piece.first, next);
      ASSERT_GT(piece.count, 0u);
      next += piece.count;
    }
  }
  EXPECT_EQ(at, 0u);
  EXPECT_EQ(next, static_cast<std::uint64_t>(manifest[0].elements()));
}

void expect_rules_unmixed(const Manifest& manifest, const std::vector<SliceSpec>& slices) {
  for (const SliceSpec& slice : slices) {
    const ParameterSpec& first = manifest[slice.pieces.front().parameter];
    for (const Piece& piece : slice.pieces) {
      EXPECT_EQ(manifest[piece.parameter].decay, first.decay);
      EXPECT_EQ(manifest[piece.parameter].rate_scale, first.rate_scale);
      EXPECT_EQ(manifest[piece.parameter].average, first.average);
    }
  }
}

// Cut parameters have slices to themselves, whole cache lines but for the last; shared slices are whole
// parameters that fit.
void expect_sizes(const Manifest& manifest, const std::vector<SliceSpec>& slices, std::uint64_t slice_bytes) {
  for (const SliceSpec& slice : slices) {
    EXPECT_LE(slice.elements() * sizeof(float), slice_bytes);
    for (const Piece& piece : slice.pieces) {
      const auto whole = static_cast<std::uint64_t>(manifest[piece.parameter].elements());
      if (piece.count == whole) continue;
      EXPECT_EQ(slice.pieces.size(), 1u);
      EXPECT_EQ(piece.first % 16, 0u);
      EXPECT_TRUE(piece.count % 16 == 0 || piece.first + piece.count == whole);
    }
  }
}

std::vector<std::uint64_t> loads(const std::vector<SliceSpec>& slices, std::uint32_t shards) {
  std::vector<std::uint64_t> load(shards);
  for (const SliceSpec& slice : slices) load.at(slice.shard) += slice.elements();
  return load;
}

// A list placed greedily ends, at its fullest, at most one largest item above the mean (Graham 1969); and
// largest first, within 4/3 - 1/(3 shards) of the best, which is no less than the mean and the largest.
void expect_balance(const std::vector<SliceSpec>& slices, std::uint32_t shards) {
  const std::vector<std::uint64_t> load = loads(slices, shards);
  std::uint64_t total = 0, largest = 0;
  for (const SliceSpec& slice : slices) {
    total += slice.elements();
    largest = std::max(largest, slice.elements());
  }
  const double fullest = static_cast<double>(std::ranges::max(load));
  const double mean = static_cast<double>(total) / shards;
  EXPECT_LE(fullest, mean + static_cast<double>(largest) * (1.0 - 1.0 / shards) + 0.5);
  // Two that must share a shard are another lower bound of the best.
  std::vector<std::uint64_t> sizes;
  for (const SliceSpec& slice : slices) sizes.push_back(slice.elements());
  std::ranges::sort(sizes, std::greater<>());
  double best = std::max(mean, static_cast<double>(largest));
  if (sizes.size() > shards) best = std::max(best, static_cast<double>(sizes[shards - 1] + sizes[shards]));
  if (slices.size() <= shards) {
    EXPECT_EQ(fullest, static_cast<double>(largest));
  }
  EXPECT_LE(fullest, best * (4.0 / 3.0 - 1.0 / (3.0 * shards)) + static_cast<double>(largest) / 3.0);
}

void expect_good_cut(const Manifest& manifest, std::uint64_t slice_bytes, std::uint32_t shards) {
  SCOPED_TRACE(fmt::format("slices of {} bytes on {} shards", slice_bytes, shards));
  const std::vector<SliceSpec> slices = cut_slices(manifest, slice_bytes, shards);
  expect_every_element_once(manifest, slices);
  expect_rules_unmixed(manifest, slices);
  expect_sizes(manifest, slices, slice_bytes);
  expect_balance(slices, shards);
  EXPECT_EQ(cut_slices(manifest, slice_bytes, shards), slices) << "the same every time";
}

TEST(CutSlices, AnyModelAnySizeAnyShards) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const Manifest manifest = random_manifest(seed);
    for (const std::uint64_t slice_bytes :
         {std::uint64_t{4096}, std::uint64_t{100'000}, std::uint64_t{1} << 20, std::uint64_t{1} << 30})
      for (const std::uint32_t shards : {1u, 2u, 3u, 7u}) expect_good_cut(manifest, slice_bytes, shards);
  }
}

TEST(CutSlices, SmallestSlices) {
  for (const std::uint64_t slice_bytes : {64, 68, 127, 128})
    for (const std::uint32_t shards : {1u, 2u, 5u}) expect_good_cut(lenet(), slice_bytes, shards);
}

// As long as slices are smaller than a shard's share.
TEST(CutSlices, BoundariesOfSmallSlicesDoNotDependOnShards) {
  const auto pieces = [](std::uint32_t shards) {
    std::vector<std::vector<Piece>> all;
    for (const SliceSpec& slice : cut_slices(lenet(), 16384, shards)) all.push_back(slice.pieces);
    return all;
  };
  EXPECT_EQ(pieces(1), pieces(2));
  EXPECT_EQ(pieces(1), pieces(9));
}

TEST(CutSlices, AModelSmallerThanASliceIsSharedOut) {
  for (const std::uint32_t shards : {2u, 3u, 4u}) {
    const auto load = loads(cut_slices(lenet(), 1 << 20, shards), shards);
    const double mean = static_cast<double>(std::accumulate(load.begin(), load.end(), std::uint64_t{0})) / shards;
    EXPECT_LT(static_cast<double>(std::ranges::max(load)), 1.5 * mean) << shards;
    EXPECT_GT(std::ranges::min(load), 0u) << shards;
  }
}

TEST(CutSlices, NoSliceIsLessThanALineForTheSakeOfAShard) {
  const auto slices = cut_slices({parameter("w", {4, 8})}, 1 << 20, 100);
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0].elements(), 16u);
}

TEST(CutSlices, OneBigTensorIsSharedOut) {
  Manifest manifest = lenet();
  manifest.push_back(parameter("embedding", {50'000, 300}));
  for (const std::uint32_t shards : {2u, 3u, 4u}) {
    const auto load = loads(cut_slices(manifest, 1 << 20, shards), shards);
    const auto [least, most] = std::ranges::minmax(load);
    EXPECT_LT(static_cast<double>(most), 1.1 * static_cast<double>(least)) << shards;
  }
}

TEST(CutSlices, EvenPieces) {
  const auto slices = cut_slices({parameter("w", {1000, 1000})}, 1 << 20, 2);
  ASSERT_EQ(slices.size(), 4u);  // 4,000,000 bytes: not three of 1 MiB and a rest
  for (const SliceSpec& slice : slices) EXPECT_NEAR(static_cast<double>(slice.elements()), 250'000.0, 16.0 * 4);
}

TEST(CutSlices, NeighboursShareASlice) {
  Manifest manifest = {parameter("a", {10}), parameter("b", {10}), parameter("c", {10}), parameter("d", {10})};
  manifest[0].decay = 0.0;
  const auto slices = cut_slices(manifest, 100, 1);  // 25 elements
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(slices[0].pieces, (std::vector<Piece>{{3, 0, 10}, {2, 0, 10}}));
  EXPECT_EQ(slices[1].pieces, (std::vector<Piece>{{1, 0, 10}}));  // full would not fit; "a" has another rule
  EXPECT_EQ(slices[2].pieces, (std::vector<Piece>{{0, 0, 10}}));
  EXPECT_EQ(describe_slice(slices[0], manifest), "d[0..10) and 1 more");
  EXPECT_EQ(describe_slice(slices[2], manifest), "a[0..10)");
  EXPECT_EQ(describe_element(slices[0], manifest, 9), "d[9]");
  EXPECT_EQ(describe_element(slices[0], manifest, 10), "c[0]");
  EXPECT_EQ(describe_element(slices[0], manifest, 20), "d[0..10) and 1 more") << "it has fewer";
}

TEST(CutSlices, AnElementIsCountedFromItsParametersBegin) {
  const Manifest manifest = {parameter("a", {40})};
  const auto slices = cut_slices(manifest, 100, 1);
  ASSERT_EQ(slices.size(), 3u);
  for (const SliceSpec& slice : slices)
    EXPECT_EQ(describe_element(slice, manifest, 3), fmt::format("a[{}]", slice.pieces[0].first + 3));
}

TEST(CutSlices, NothingToCut) { EXPECT_TRUE(cut_slices({}, 1 << 20, 2).empty()); }

// ---- the manifest ----------------------------------------------------------------------------------

TEST(CheckManifest, Good) {
  EXPECT_TRUE(check_manifest(lenet()).ok());
  EXPECT_TRUE(check_manifest({parameter("scalar", {})}).ok());
}

void expect_refused(const Manifest& manifest, const std::string& text) {
  const Status status = check_manifest(manifest);
  ASSERT_FALSE(status.ok()) << text;
  EXPECT_EQ(status.error().cause, Cause::kRefused);
  EXPECT_THAT(status.error().message, HasSubstr(text));
}

TEST(CheckManifest, Bad) {
  expect_refused({parameter("a", {1}), parameter("b", {1}), parameter("a", {2})}, "\"a\" is named twice");
  expect_refused({parameter("w", {3, 0})}, "\"w\" has an extent of 0");
  expect_refused({parameter("w", {-3})}, "\"w\" has an extent of -3");
  // A product that overflows would make a small parameter of a large one.
  const std::int64_t large = std::int64_t{1} << 32;
  expect_refused({parameter("w", {large, large})}, "\"w\" has too many elements");
  expect_refused({parameter("w", {large, large, 3})}, "\"w\" has too many elements");
  expect_refused({parameter("w", std::vector<std::int64_t>(64, 2))}, "\"w\" has too many elements");
}

TEST(CheckManifest, AFractionIsOne) {
  for (const float average : {-0.1f, 1.5f, std::numeric_limits<float>::quiet_NaN()}) {
    Manifest manifest{parameter("bn.running_mean", {3})};
    manifest[0].average = average;
    expect_refused(manifest, "\"bn.running_mean\" is a running mean that moves by");
  }
}

// Everything that two workers must agree on.
TEST(ManifestHash, SeesEveryField) {
  std::vector<Manifest> others(10, lenet());
  std::swap(others[1][0], others[1][1]);
  others[2][0].name += "x";
  others[3][0].shape = {6, 25, 1, 1};
  others[4][0].initializer.kind = InitializerKind::kNormal;
  others[5][0].initializer.scale = 0.1f;
  others[6][0].decay = 0.0;
  others[7][0].rate_scale = 2.0;
  others[8][0].average = 0.1f;
  others[9][0].frozen = true;
  std::map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < others.size(); ++i)
    EXPECT_TRUE(seen.emplace(manifest_hash(others[i]), i).second)
        << i << " looks like " << seen[manifest_hash(others[i])];
  EXPECT_EQ(manifest_hash(lenet()), manifest_hash(lenet()));
  EXPECT_EQ(manifest_hash(lenet()).size(), 64u);
}

// A name may hold any byte; it must not pass for another's fields.
TEST(ManifestHash, NamesCannotForge) {
  ParameterSpec a = parameter("a", {1});
  ParameterSpec forged = parameter("a|1|0|0x0p+0|0x1p+0|-0x1p+0|false|0x0p+0\nb", {1});
  EXPECT_NE(manifest_hash({a, parameter("b", {1})}), manifest_hash({forged}));
}

}  // namespace
}  // namespace rubato::protocol
