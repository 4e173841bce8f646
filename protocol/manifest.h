// The manifest and the routing table: what joins those who know a model with those who do not.
//
// Workers register the parameters of their model, in the model's order. The scheduler checks that all
// agree (manifest_hash), cuts the parameters into slices, places the slices on shards, and hands both
// out. Slice boundaries never change in a job; slices move whole.
//
// Invariants of a RoutingTable: every element of every parameter is in exactly one piece of one slice;
// the slice with id i stands at index i; ids follow *backward* order (the gradient of slice 0 is ready
// first); parameters share a slice only with neighbours under the same rule.
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/parameter.h"
#include "base/result.h"

namespace rubato::protocol {

using Manifest = std::vector<ParameterSpec>;

// A contiguous run of elements of one parameter.
struct Piece {
  std::uint32_t parameter = 0;         // index into the manifest
  std::uint64_t first = 0, count = 0;  // elements
  friend bool operator==(const Piece&, const Piece&) = default;
  template <typename A>
  void fields(A& a) {
    a(parameter, first, count);
  }
};

struct SliceSpec {
  std::uint32_t shard = 0;    // rank of the server member that owns it
  std::vector<Piece> pieces;  // laid end to end
  [[nodiscard]] std::uint64_t elements() const {
    std::uint64_t sum = 0;
    for (const Piece& piece : pieces) sum += piece.count;
    return sum;
  }
  friend bool operator==(const SliceSpec&, const SliceSpec&) = default;
  template <typename A>
  void fields(A& a) {
    a(shard, pieces);
  }
};

struct RoutingTable {
  std::uint32_t route = 0;  // counts the placements of a job
  std::vector<SliceSpec> slices;
  std::vector<std::string> addresses;  // of shard rank r, at index r

  [[nodiscard]] std::uint32_t shards() const { return static_cast<std::uint32_t>(addresses.size()); }
  friend bool operator==(const RoutingTable&, const RoutingTable&) = default;
  template <typename A>
  void fields(A& a) {
    a(route, slices, addresses);
  }
};

// Errors: kRefused where a parameter is named twice, or has no elements, or more than any machine holds.
[[nodiscard]] Status check_manifest(const Manifest& manifest);

// SHA-256, hex, over names, shapes, initializers and rule exceptions, in order.
// Whether what is pushed for it goes as float32, whatever the job's gradients go as: a sum over samples of variances
// may be larger than a float16, and is no gradient that training could do without.
[[nodiscard]] inline bool travels_exactly(const Manifest& manifest, const SliceSpec& slice) {
  return manifest[slice.pieces.front().parameter].average > 0.0f;
}

[[nodiscard]] std::string manifest_hash(const Manifest& manifest);

// Cuts slices of at most `slice_bytes`, and of about a shard's equal share of the model where that is less,
// and places them on `shards` shards, balanced by bytes: the largest slice first, each to the shard with the
// fewest bytes (Graham's LPT rule: at most 4/3 of the best).
[[nodiscard]] std::vector<SliceSpec> cut_slices(const Manifest& manifest, std::uint64_t slice_bytes,
                                                std::uint32_t shards);

// XXH3 of all of it: whether two members mean the same by a slice's id.
[[nodiscard]] std::uint64_t placement_hash(const std::vector<SliceSpec>& slices);

// "fc1.weight[0..262144)", with " and 3 more" where a slice holds several parameters: for messages.
[[nodiscard]] std::string describe_slice(const SliceSpec& slice, const Manifest& manifest);

// One number of a slice: its parameter, and which of its numbers it is.
struct Element {
  std::uint32_t parameter = 0;
  std::uint64_t index = 0;
};
// Nothing, where the slice has fewer.
[[nodiscard]] std::optional<Element> find_element(const SliceSpec& slice, std::uint64_t element);
// "fc1.weight[17]"; or the slice.
[[nodiscard]] std::string describe_element(const SliceSpec& slice, const Manifest& manifest, std::uint64_t element);

}  // namespace rubato::protocol
