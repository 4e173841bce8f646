#include "protocol/manifest.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/hash.h"
#include "protocol/wire.h"

namespace rubato::protocol {

Status check_manifest(const Manifest& manifest) {
  constexpr std::int64_t kElementsMax = std::int64_t{1} << 40;
  std::set<std::string> names;
  for (const ParameterSpec& parameter : manifest) {
    if (!names.insert(parameter.name).second)
      return Error{Cause::kRefused, fmt::format("parameter \"{}\" is named twice in the manifest", parameter.name)};
    if (!(parameter.average >= 0.0f && parameter.average <= 1.0f))
      return Error{Cause::kRefused,
                   fmt::format("parameter \"{}\" is a running mean that moves by {}: at least 0 and at "
                               "most 1 is expected",
                               parameter.name, parameter.average)};
    if (!(parameter.rate_scale > 0.0 && std::isfinite(parameter.rate_scale) && std::isfinite(parameter.decay)))
      return Error{Cause::kRefused,
                   fmt::format("parameter \"{}\" has {} times the rate and a weight decay of {}: a finite factor above "
                               "0 and a finite decay are expected",
                               parameter.name, parameter.rate_scale, parameter.decay)};
    std::int64_t elements = 1;
    for (std::int64_t extent : parameter.shape) {
      if (extent <= 0)
        return Error{Cause::kRefused, fmt::format("parameter \"{}\" has an extent of {}", parameter.name, extent)};
      if (extent > kElementsMax / elements)
        return Error{Cause::kRefused, fmt::format("parameter \"{}\" has too many elements", parameter.name)};
      elements *= extent;
    }
  }
  return {};
}

std::string manifest_hash(const Manifest& manifest) {
  std::string text;
  for (const ParameterSpec& p : manifest) {
    // The length of the name, because a name may look like what follows it.
    text += fmt::format("{}|{}|{}|{}|{:a}|{:a}|{:a}|{}|{:a}\n", p.name.size(), p.name, fmt::join(p.shape, ","),
                        static_cast<int>(p.initializer.kind), p.initializer.scale, p.rate_scale, p.decay, p.frozen,
                        p.average);
  }
  return sha256_hex(text);
}

namespace {

constexpr std::uint64_t kLine = 16;  // elements of a cache line: cuts within a parameter fall on whole ones

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

// The most elements of a slice. A shard's equal share bounds it too, else a model smaller than a slice
// would lie on one shard, whatever the others do.
std::uint64_t slice_limit(const Manifest& manifest, std::uint64_t slice_bytes, std::uint32_t shards) {
  std::uint64_t elements = 0;
  for (const ParameterSpec& parameter : manifest) elements += static_cast<std::uint64_t>(parameter.elements());
  return std::min(slice_bytes / sizeof(float), std::max(ceil_div(elements, shards), kLine));
}

// Slices in backward order, without owners. A parameter larger than `limit` elements is cut evenly; the
// small ones are laid together with their neighbours while they fit.
std::vector<SliceSpec> cut(const Manifest& manifest, std::uint64_t limit) {
  std::vector<SliceSpec> slices;
  SliceSpec open;
  const auto close = [&] {
    if (!open.pieces.empty()) slices.push_back(std::move(open));
    open = {};
  };
  for (std::size_t at = manifest.size(); at-- > 0;) {
    const ParameterSpec& parameter = manifest[at];
    const auto index = static_cast<std::uint32_t>(at);
    const auto elements = static_cast<std::uint64_t>(parameter.elements());
    if (!open.pieces.empty() &&
        (open.elements() + elements > limit || !same_rule(manifest[open.pieces.front().parameter], parameter)))
      close();
    if (elements <= limit) {
      open.pieces.push_back({index, 0, elements});
      continue;
    }
    const std::uint64_t lines = ceil_div(elements, kLine);
    const std::uint64_t pieces = ceil_div(lines, limit / kLine);
    const std::uint64_t step = ceil_div(lines, pieces) * kLine;
    for (std::uint64_t first = 0; first < elements; first += step) {
      SliceSpec slice;
      slice.pieces.push_back({index, first, std::min(step, elements - first)});
      slices.push_back(std::move(slice));
    }
  }
  close();
  return slices;
}

}  // namespace

std::vector<SliceSpec> cut_slices(const Manifest& manifest, std::uint64_t slice_bytes, std::uint32_t shards) {
  RUBATO_CHECK(shards > 0 && slice_bytes >= 64, "{} shards, {} bytes", shards, slice_bytes);
  std::vector<SliceSpec> slices = cut(manifest, slice_limit(manifest, slice_bytes, shards));

  std::vector<std::size_t> by_size(slices.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return slices[a].elements() > slices[b].elements(); });
  std::vector<std::uint64_t> load(shards, 0);
  for (std::size_t index : by_size) {
    const auto least = std::min_element(load.begin(), load.end());
    slices[index].shard = static_cast<std::uint32_t>(least - load.begin());
    *least += slices[index].elements();
  }
  return slices;
}

std::uint64_t placement_hash(const std::vector<SliceSpec>& slices) {
  Writer coder;
  coder(slices);
  return xxh3(coder.take());
}

std::string describe_slice(const SliceSpec& slice, const Manifest& manifest) {
  const Piece& piece = slice.pieces.front();
  std::string text = fmt::format("{}[{}..{})", manifest[piece.parameter].name, piece.first, piece.first + piece.count);
  if (slice.pieces.size() > 1) text += fmt::format(" and {} more", slice.pieces.size() - 1);
  return text;
}

std::optional<Element> find_element(const SliceSpec& slice, std::uint64_t element) {
  for (const Piece& piece : slice.pieces) {
    if (element < piece.count) return Element{piece.parameter, piece.first + element};
    element -= piece.count;
  }
  return std::nullopt;
}

std::string describe_element(const SliceSpec& slice, const Manifest& manifest, std::uint64_t element) {
  const auto found = find_element(slice, element);
  if (!found) return describe_slice(slice, manifest);
  return fmt::format("{}[{}]", manifest[found->parameter].name, found->index);
}

}  // namespace rubato::protocol
