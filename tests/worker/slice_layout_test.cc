#include "worker/slice_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace rubato::worker {
namespace {

using protocol::Manifest;
using protocol::RoutingTable;

constexpr std::size_t kAlign = 16;

ParameterSpec parameter(std::vector<std::int64_t> shape, double decay = kUsualDecay, double rate_scale = 1.0) {
  ParameterSpec spec;
  spec.name = fmt::format("p[{}]", fmt::join(shape, ","));
  spec.shape = std::move(shape);
  spec.decay = decay;
  spec.rate_scale = rate_scale;
  return spec;
}

RoutingTable routing_of(const Manifest& manifest, std::uint64_t slice_bytes, std::uint32_t shards = 3) {
  return {1, protocol::cut_slices(manifest, slice_bytes, shards), std::vector<std::string>(shards, "address")};
}

// Slices end to end, none before a multiple of 16 floats and none further away than it must be.
void expect_slices_end_to_end(const SliceLayout& layout, const RoutingTable& routing) {
  ASSERT_EQ(layout.slices(), routing.slices.size());
  std::size_t end = 0;
  for (std::size_t id = 0; id < layout.slices(); ++id) {
    const auto [first, count] = layout.slice(id);
    EXPECT_EQ(first, (end + kAlign - 1) / kAlign * kAlign) << "slice " << id;
    EXPECT_EQ(count, routing.slices[id].elements()) << "slice " << id;
    EXPECT_EQ(layout.pieces(id), routing.slices[id].pieces.size()) << "slice " << id;
    end = first + count;
  }
  EXPECT_EQ(layout.floats(), end);
}

// Every piece lies at the same place whether it is found through its slice or through its parameter.
void expect_parameters_contiguous(const SliceLayout& layout, const RoutingTable& routing, const Manifest& manifest) {
  ASSERT_EQ(layout.parameters(), manifest.size());
  std::vector<std::vector<SliceId>> slices_of(manifest.size());
  for (std::size_t id = 0; id < layout.slices(); ++id) {
    std::size_t at = layout.slice(id).first;
    for (const protocol::Piece& piece : routing.slices[id].pieces) {
      EXPECT_EQ(at, layout.parameter(piece.parameter).first + piece.first) << manifest[piece.parameter].name;
      slices_of[piece.parameter].push_back(static_cast<SliceId>(id));
      at += piece.count;
    }
  }
  for (std::size_t p = 0; p < manifest.size(); ++p) {
    EXPECT_EQ(layout.parameter(p).count, static_cast<std::size_t>(manifest[p].elements()));
    EXPECT_EQ(layout.slices_of(p), slices_of[p]) << manifest[p].name;
  }
}

void expect_good(const Manifest& manifest, std::uint64_t slice_bytes) {
  SCOPED_TRACE(fmt::format("{} parameters, slices of {} bytes", manifest.size(), slice_bytes));
  const RoutingTable routing = routing_of(manifest, slice_bytes);
  const SliceLayout layout(manifest, routing);
  expect_slices_end_to_end(layout, routing);
  expect_parameters_contiguous(layout, routing, manifest);
}

struct Case {
  std::string name;
  Manifest manifest;
  std::uint64_t slice_bytes_min = 64;
};

void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

class SliceLayoutTest : public testing::TestWithParam<Case> {};

TEST_P(SliceLayoutTest, HoldsItsPromisesForSlicesOfAnySize) {
  for (std::uint64_t bytes = 64; bytes <= std::uint64_t{1} << 30; bytes *= 4) {
    if (bytes < GetParam().slice_bytes_min) continue;
    expect_good(GetParam().manifest, bytes);
    expect_good(GetParam().manifest, bytes + 4);  // no multiple of a cache line
  }
}

INSTANTIATE_TEST_SUITE_P(
    Manifests, SliceLayoutTest,
    testing::Values(Case{"one_number", {parameter({})}},
                    Case{"tiny", {parameter({1}), parameter({3}), parameter({1}), parameter({2, 2})}},
                    Case{"exactly_a_line", {parameter({16}), parameter({16}), parameter({32})}},
                    Case{"cut_with_a_ragged_end", {parameter({5}), parameter({1001}), parameter({7})}},
                    Case{"rules_change_often",
                         {parameter({30}), parameter({30}, 0.0), parameter({2}, 0.0), parameter({700}),
                          parameter({3}, 0.0), parameter({3}, kUsualDecay, 0.5), parameter({90}, kUsualDecay, 0.5)}},
                    Case{"a_network",
                         {parameter({32, 3, 3, 1}), parameter({32}, 0.0), parameter({64, 3, 3, 32}),
                          parameter({64}, 0.0), parameter({128, 3136}), parameter({128}, 0.0), parameter({10, 128}),
                          parameter({10}, 0.0)}},
                    Case{"huge", {parameter({9}), parameter({70'000, 40'001}), parameter({11})}, 1 << 16}),
    [](const auto& instance) { return instance.param.name; });

TEST(SliceLayout, HoldsItsPromisesForManifestsOfAnyShape) {
  RandomStream random(stream_key(5, "manifests"));
  for (int round = 0; round < 300; ++round) {
    Manifest manifest;
    for (std::uint64_t p = 1 + random.below(12); p > 0; --p) {
      const auto elements = static_cast<std::int64_t>(1 + random.below(std::uint64_t{1} << random.below(14)));
      manifest.push_back(
          parameter({elements}, random.below(3) > 0 ? kUsualDecay : 0.0, random.below(4) > 0 ? 1.0 : 0.1));
    }
    expect_good(manifest, 64 + 4 * random.below(std::uint64_t{1} << random.below(12)));
  }
}

TEST(SliceLayout, ParametersThatShareASliceLieSideBySideInBackwardOrder) {
  const Manifest manifest{parameter({20}), parameter({5})};
  const SliceLayout layout(manifest, routing_of(manifest, 1024, 1));
  EXPECT_EQ(layout.slices(), 1u);
  EXPECT_EQ(layout.pieces(0), 2u);
  EXPECT_EQ(layout.parameter(1).first, 0u);
  EXPECT_EQ(layout.parameter(0).first, 5u);
  EXPECT_EQ(layout.floats(), 25u);
}

TEST(SliceLayoutDeathTest, APlacementThatTearsAParameterIsAMistake) {
  const Manifest manifest{parameter({40})};
  RoutingTable routing = routing_of(manifest, 1024);
  routing.slices = {{0, {{0, 0, 20}}}, {0, {{0, 20, 20}}}};  // 20 is no multiple of 16
  EXPECT_DEATH(SliceLayout(manifest, routing), "is not contiguous");
}

}  // namespace
}  // namespace rubato::worker
