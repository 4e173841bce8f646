// The fixed binary tree along which the gradients of one batch are summed.
//
// A batch is cut into M leaves (micro-batches). Node (level, index) stands for the leaves
// [index * 2^level, (index + 1) * 2^level) that exist; its children are (level - 1, 2 * index) and
// (level - 1, 2 * index + 1); where the second has no leaves the node is its first child. The root is
// the lowest level at which index 0 covers all M leaves.
//
// Float addition is not associative, so the *shape* of the sum decides its bits. Whoever computes which
// leaves, workers and servers only ever add the two children of a node, and the root comes out the same
// for any number of workers: that is what makes bsp equal bit for bit on 1, 2 or 4 workers.
//
// A node without samples is "empty" and is skipped, not added as zeros (-0.0 + 0.0 would change a bit).
//
// Pure functions over small values; no state.
#pragma once

#include <compare>
#include <cstdint>

#include "base/check.h"
#include "base/small_vector.h"

namespace rubato::protocol {

struct LeafNode {
  std::uint8_t level = 0;
  std::uint32_t index = 0;

  static constexpr std::uint8_t kLevelMax = 32;  // the root of 2^32 leaves
  [[nodiscard]] bool valid() const { return level <= kLevelMax; }

  friend auto operator<=>(const LeafNode&, const LeafNode&) = default;
  template <typename A>
  void fields(A& a) {
    a(level, index);
  }
  [[nodiscard]] std::uint64_t first_leaf() const { return static_cast<std::uint64_t>(index) << level; }
  [[nodiscard]] LeafNode parent() const { return {static_cast<std::uint8_t>(level + 1), index / 2}; }
  [[nodiscard]] LeafNode sibling() const { return {level, index ^ 1u}; }
};

// What one worker has of a tree, in order of their leaves.
using LeafNodes = SmallVector<LeafNode, 4>;

// Whether a node stands for at least one of `leaves` leaves.
[[nodiscard]] inline bool exists(LeafNode node, std::uint32_t leaves) { return node.first_leaf() < leaves; }

[[nodiscard]] inline LeafNode root_of(std::uint32_t leaves) {
  RUBATO_CHECK(leaves > 0);
  LeafNode root;
  while ((1ull << root.level) < leaves) ++root.level;
  return root;
}

// One past the last leaf of a node.
[[nodiscard]] inline std::uint64_t end_leaf(LeafNode node, std::uint32_t leaves) {
  const std::uint64_t end = (static_cast<std::uint64_t>(node.index) + 1) << node.level;
  return end < leaves ? end : leaves;
}

// The node itself, or, while its right sibling has no leaves, the ancestor that it stands for alone.
// A sum that is complete at `node` is complete there too.
[[nodiscard]] inline LeafNode promoted(LeafNode node, std::uint32_t leaves, std::uint8_t top_level) {
  while (node.level < top_level && node.index % 2 == 0 && !exists(node.sibling(), leaves)) node = node.parent();
  return node;
}

// Cuts the leaves [first, end) into the fewest nodes of the tree, in order of their leaves.
[[nodiscard]] inline LeafNodes nodes_of_range(std::uint64_t first, std::uint64_t end, std::uint32_t leaves) {
  RUBATO_CHECK(first <= end && end <= leaves);
  const std::uint8_t top = root_of(leaves).level;
  LeafNodes nodes;
  while (first < end) {
    LeafNode node{0, static_cast<std::uint32_t>(first)};
    while (node.level < top && node.index % 2 == 0 && end_leaf(node.parent(), leaves) <= end) node = node.parent();
    nodes.push_back(node);
    first = end_leaf(node, leaves);
  }
  return nodes;
}

// The nodes that worker `position` of `workers` owns: leaves cut as equally as they come.
[[nodiscard]] inline LeafNodes nodes_of_worker(std::uint32_t position, std::uint32_t workers, std::uint32_t leaves) {
  RUBATO_CHECK(position < workers);
  const auto cut = [&](std::uint64_t at) { return at * leaves / workers; };
  return nodes_of_range(cut(position), cut(position + 1ull), leaves);
}

}  // namespace rubato::protocol
