// The sum of one clock's gradients for one slice, along the leaf tree (protocol/leaf_tree.h).
//
// Only the two children of a node are ever added, whatever the order in which they come, so the bits of
// the root depend on the leaves alone. A gradient is kept by reference until its sibling is there; the
// first sum of two of them takes a buffer of our own, later ones are added in place.
//
// Invariant: the parts are disjoint, none is empty of leaves, and no two of them are siblings.
// Thread-safety: belongs to one shard.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "protocol/leaf_tree.h"

namespace rubato::server {

// Buffers for sums, kept for the next one: the one used last is handed out first.
class SumBuffers {
 public:
  [[nodiscard]] std::vector<float> take(std::size_t elements);
  void give_back(std::vector<float> buffer);

 private:
  std::map<std::size_t, std::vector<std::vector<float>>> spare_;  // by size
};

class Aggregate {
 public:
  enum class Added : std::uint8_t {
    kAdded,
    kRepeat,      // all of its leaves are in already
    kOverlapping  // some of its leaves are in, others not: nobody who follows the protocol sends that
  };

  explicit Aggregate(std::uint32_t leaves) : leaves_(leaves), root_(protocol::root_of(leaves)) {}

  // Whether a node is one of this tree.
  [[nodiscard]] bool valid(protocol::LeafNode node) const {
    return node.level <= root_.level && protocol::exists(node, leaves_);
  }

  // What add() would find.
  [[nodiscard]] Added look(protocol::LeafNode node) const;

  // `node` is valid and look() says kAdded. An empty gradient: the leaves had nothing to add. The others
  // are equally long.
  void add(protocol::LeafNode node, Payload gradient, SumBuffers& buffers);

  [[nodiscard]] bool complete() const { return parts_.size() == 1 && parts_.begin()->second.node == root_; }
  // Of a complete one; empty if no leaf had anything.
  [[nodiscard]] std::span<const float> sum() const { return parts_.begin()->second.values(); }
  // Whether sum() came out of an addition here, and is not simply the one gradient that was added.
  [[nodiscard]] bool added_up() const { return !parts_.begin()->second.own.empty(); }

  void clear(SumBuffers& buffers);

 private:
  // The sum of one node: a gradient as it came, or a buffer, or neither.
  struct Part {
    protocol::LeafNode node;
    Payload borrowed;
    std::vector<float> own;

    [[nodiscard]] bool empty() const { return borrowed.empty() && own.empty(); }
    [[nodiscard]] std::span<const float> values() const {
      return own.empty() ? borrowed.floats() : std::span<const float>(own);
    }
  };
  static Part combined(Part left, Part right, SumBuffers& buffers);

  std::uint32_t leaves_;
  protocol::LeafNode root_;
  std::map<std::uint64_t, Part> parts_;  // by first leaf
};

}  // namespace rubato::server
