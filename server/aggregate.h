// The sum of one clock's gradients for one slice, along the leaf tree (protocol/leaf_tree.h).
//
// Only the two children of a node are ever added, whatever the order in which they come, so the bits of
// the root depend on the leaves alone. Gradients are kept by reference, a few of each node: each one that is added up
// before the others are there costs a pass over memory for the sum, and another one later. From kKeptMax on, what a
// node has is added up into a buffer of our own, so that not all pushes of a clock lie here at once. The push that
// completes the tree adds nothing: terms() are what the root is the sum of, and the update adds them up as it goes,
// block by block.
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
#include "kernels/sum_term.h"
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

  // Gradients of a node that wait to be added up.
  static constexpr std::size_t kKeptMax = 4;

  // `node` is valid and look() says kAdded. An empty gradient: the leaves had nothing to add. The others
  // are equally long.
  void add(protocol::LeafNode node, std::uint32_t worker, Payload gradient, SumBuffers& buffers);

  [[nodiscard]] bool complete() const { return parts_.size() == 1 && parts_.begin()->second.node == root_; }
  // Of a complete one: what the root is the sum of. None, if no leaf had anything. Valid until clear().
  [[nodiscard]] std::span<const kernels::SumTerm> terms() const { return terms_; }

  // A gradient that is not finite: whose, and the first of its numbers that is not.
  struct Spoiler {
    std::uint32_t worker = 0;
    std::uint64_t element = 0;
  };
  // As far as they have shown and were not told before. What they were added to is spoiled: with one of them this is no
  // sum any more.
  [[nodiscard]] std::vector<Spoiler> take_spoilers() { return std::exchange(spoilers_, {}); }
  // Of a complete one, whose terms are not to be applied: looks at those that were not added up yet.
  void examine();

  void clear(SumBuffers& buffers);

 private:
  // A gradient as it came, or a buffer with the sum of some.
  struct Piece {
    std::uint32_t worker = 0;  // who pushed what is borrowed
    Payload borrowed;
    std::vector<float> own;
    std::uint32_t folds = 0;  // as of a kernels::SumTerm

    [[nodiscard]] std::span<const float> values() const {
      return own.empty() ? borrowed.floats() : std::span<const float>(own);
    }
  };
  // What a node has: the sum of pieces that is not made yet, or nothing.
  struct Part {
    protocol::LeafNode node;
    std::vector<Piece> pieces;
  };
  using Parts = std::map<std::uint64_t, Part>;  // by first leaf
  void join(Part& part, Part sibling);
  void keep(Part part);
  void add_up(Part& part, SumBuffers& buffers);
  void list_terms(const Part& part);
  [[nodiscard]] bool spoils(const Piece& piece);
  void let_go(std::vector<Piece> pieces, SumBuffers& buffers);
  [[nodiscard]] std::vector<Piece> take_list();

  std::uint32_t leaves_;
  protocol::LeafNode root_;
  Parts parts_;
  std::vector<kernels::SumTerm> terms_;  // while a sum is made, and of the root
  std::vector<Spoiler> spoilers_;
  // For the next parts: lists that are empty, and places in the map.
  std::vector<std::vector<Piece>> spare_;
  std::vector<Parts::node_type> spare_nodes_;
};

}  // namespace rubato::server
