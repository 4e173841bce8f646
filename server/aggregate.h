// The sum of one clock's gradients for one slice, along the leaf tree (protocol/leaf_tree.h).
//
// Only the two children of a node are ever added, whatever the order in which they come, so the bits of
// the root depend on the leaves alone. A gradient is kept by reference until its sibling is there; the
// first sum of two of them takes a buffer of our own, later ones are added in place. The push that completes the tree
// adds nothing here: terms() are what the root is the sum of, and the update adds them up as it goes, block by block.
//
// Whether a gradient is finite shows when it is added: what is not finite has no finite sum. Only then each one is
// looked at, to name who pushed it.
//
// Invariant: the parts are disjoint, none is empty of leaves, and no two of them are siblings.
// Thread-safety: belongs to one shard.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
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
  void add(protocol::LeafNode node, std::uint32_t worker, Payload gradient, SumBuffers& buffers);

  [[nodiscard]] bool complete() const { return parts_.size() == 1 && parts_.begin()->second.node == root_; }
  // Of a complete one: terms()[0] + terms()[1] + ..., added in this order, is the root's sum. None, if no leaf had
  // anything. Valid until clear().
  [[nodiscard]] std::span<const std::span<const float>> terms() const { return terms_; }

  // Who pushed a gradient that is not finite, as far as it has shown and was not told before. What it was added to is
  // spoiled: with one of them this is no sum any more.
  [[nodiscard]] std::vector<std::uint32_t> take_spoilers() { return std::exchange(spoilers_, {}); }
  // Of a complete one, whose terms are not to be applied: looks at those that nothing was added to.
  void examine();

  void clear(SumBuffers& buffers);

 private:
  // The sum of one node: a gradient as it came, or a buffer, or neither.
  struct Part {
    protocol::LeafNode node;
    std::uint32_t worker = 0;  // who pushed what is borrowed
    Payload borrowed;
    std::vector<float> own;

    [[nodiscard]] bool empty() const { return borrowed.empty() && own.empty(); }
    [[nodiscard]] std::span<const float> values() const {
      return own.empty() ? borrowed.floats() : std::span<const float>(own);
    }
  };
  [[nodiscard]] Part combined(Part left, Part right, SumBuffers& buffers);
  [[nodiscard]] bool spoils(const Part& part);

  std::uint32_t leaves_;
  protocol::LeafNode root_;
  std::map<std::uint64_t, Part> parts_;  // by first leaf; of a complete tree the root, whose values are in chain_
  std::vector<Part> chain_;              // from the push that came last up to the root: each the sibling of all before
  std::vector<std::span<const float>> terms_;
  std::vector<std::uint32_t> spoilers_;
};

}  // namespace rubato::server
