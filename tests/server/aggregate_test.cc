// The sum along the leaf tree has the bits of the recursion that defines it, whatever the order in which
// its parts come, however the leaves are grouped, and whichever of them are empty.
#include "server/aggregate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

#include "base/rng.h"

namespace rubato::server {
namespace {

using protocol::LeafNode;
using Values = std::vector<float>;
using Leaves = std::vector<std::optional<Values>>;

constexpr std::size_t kElements = 3;

// Magnitudes far apart, so that another order of additions gives other bits.
Leaves random_leaves(std::uint32_t count, std::uint64_t seed) {
  RandomStream random(stream_key(seed, "leaves"));
  Leaves leaves(count);
  for (auto& leaf : leaves) {
    leaf.emplace(kElements);
    for (float& value : *leaf) value = static_cast<float>(random.next_normal() * std::exp2(random.below(24)));
  }
  return leaves;
}

// The definition: a node is the sum of its two children; empty ones are skipped.
std::optional<Values> reference(const Leaves& leaves, LeafNode node) {
  if (node.first_leaf() >= leaves.size()) return std::nullopt;
  if (node.level == 0) return leaves[node.index];
  const auto child = [&](std::uint32_t side) {
    return reference(leaves, {static_cast<std::uint8_t>(node.level - 1), 2 * node.index + side});
  };
  auto left = child(0), right = child(1);
  if (!left || !right) return left ? left : right;
  for (std::size_t i = 0; i < kElements; ++i) (*left)[i] += (*right)[i];
  return left;
}

Values sum_of(std::span<const kernels::SumTerm> terms) {
  std::vector<Values> sums;
  for (const kernels::SumTerm& term : terms) {
    sums.emplace_back(term.values.begin(), term.values.end());
    for (std::uint32_t fold = 0; fold < term.folds; ++fold) {
      const Values right = std::move(sums.back());
      sums.pop_back();
      for (std::size_t i = 0; i < kElements; ++i) sums.back()[i] += right[i];
    }
  }
  EXPECT_EQ(sums.size(), 1u);
  return sums.front();
}

void expect_root(const Leaves& leaves, const std::vector<LeafNode>& arrivals, SumBuffers& buffers) {
  Aggregate aggregate(static_cast<std::uint32_t>(leaves.size()));
  for (const LeafNode& node : arrivals) {
    ASSERT_FALSE(aggregate.complete());
    ASSERT_EQ(aggregate.look(node), Aggregate::Added::kAdded);
    const auto value = reference(leaves, node);
    aggregate.add(node, 0, value ? Payload::of_floats(*value) : Payload(), buffers);
    ASSERT_EQ(aggregate.look(node), Aggregate::Added::kRepeat);
  }
  ASSERT_TRUE(aggregate.complete());
  const auto expected = reference(leaves, protocol::root_of(static_cast<std::uint32_t>(leaves.size())));
  const auto terms = aggregate.terms();
  ASSERT_EQ(terms.empty(), !expected.has_value());
  if (expected) {
    const Values sum = sum_of(terms);
    for (std::size_t i = 0; i < kElements; ++i)
      ASSERT_EQ(std::bit_cast<std::uint32_t>(sum[i]), std::bit_cast<std::uint32_t>((*expected)[i]));
  }
  aggregate.clear(buffers);
}

std::vector<LeafNode> single_leaves(std::uint32_t count) {
  std::vector<LeafNode> nodes;
  for (std::uint32_t index = 0; index < count; ++index) nodes.push_back({0, index});
  return nodes;
}

TEST(Aggregate, EveryOrderOfArrivalGivesTheBitsOfTheTree) {
  SumBuffers buffers;
  for (std::uint32_t count = 1; count <= 7; ++count) {
    const Leaves leaves = random_leaves(count, count);
    std::vector<LeafNode> order = single_leaves(count);
    do {
      expect_root(leaves, order, buffers);
    } while (std::ranges::next_permutation(order).found);
  }
}

TEST(Aggregate, ManyOrdersOfMoreLeaves) {
  SumBuffers buffers;
  RandomStream random(stream_key(1, "orders"));
  for (std::uint32_t count : {8u, 9u, 13u, 64u, 100u}) {
    const Leaves leaves = random_leaves(count, count);
    std::vector<LeafNode> order = single_leaves(count);
    for (int round = 0; round < 200; ++round) {
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
      expect_root(leaves, order, buffers);
    }
  }
}

TEST(Aggregate, AnyNumberOfWorkersGivesTheSameBits) {
  SumBuffers buffers;
  for (std::uint32_t count = 1; count <= 9; ++count) {
    const Leaves leaves = random_leaves(count, 100 + count);
    for (std::uint32_t workers = 1; workers <= count; ++workers) {
      std::vector<LeafNode> order;
      for (std::uint32_t position = 0; position < workers; ++position)
        std::ranges::copy(protocol::nodes_of_worker(position, workers, count), std::back_inserter(order));
      std::ranges::sort(order);
      int rounds = 0;
      do {
        expect_root(leaves, order, buffers);
      } while (++rounds < 1000 && std::ranges::next_permutation(order).found);
    }
  }
}

TEST(Aggregate, EmptyLeavesAreSkippedNotAdded) {
  SumBuffers buffers;
  for (std::uint32_t count = 1; count <= 6; ++count) {
    for (std::uint32_t present = 0; present < 1u << count; ++present) {
      Leaves leaves = random_leaves(count, 7);
      // Adding a positive zero to it would change this one.
      if (present & 1) leaves[0]->assign(kElements, -0.0f);
      for (std::uint32_t leaf = 0; leaf < count; ++leaf) {
        if ((present >> leaf & 1) == 0) leaves[leaf].reset();
      }
      std::vector<LeafNode> order = single_leaves(count);
      expect_root(leaves, order, buffers);
      std::ranges::reverse(order);
      expect_root(leaves, order, buffers);
    }
  }
}

TEST(Aggregate, OneGradientIsNotCopied) {
  SumBuffers buffers;
  Aggregate aggregate(4);
  const Payload gradient = Payload::of_floats(Values{1, 2, 3});
  aggregate.add({1, 0}, 0, {}, buffers);
  aggregate.add({1, 1}, 0, gradient, buffers);
  ASSERT_TRUE(aggregate.complete());
  ASSERT_EQ(aggregate.terms().size(), 1u);
  EXPECT_EQ(aggregate.terms()[0].values.data(), gradient.floats().data());
}

TEST(Aggregate, OfTwoNeitherIsCopied) {
  SumBuffers buffers;
  Aggregate aggregate(2);
  const Payload first = Payload::of_floats(Values{1, 2, 3}), second = Payload::of_floats(Values{4, 5, 6});
  aggregate.add({0, 1}, 0, first, buffers);
  aggregate.add({0, 0}, 1, second, buffers);
  ASSERT_TRUE(aggregate.complete());
  ASSERT_EQ(aggregate.terms().size(), 2u);
  EXPECT_EQ(aggregate.terms()[0].values.data(), second.floats().data());
  EXPECT_EQ(aggregate.terms()[1].values.data(), first.floats().data());
}

// Any set of gradients with a NaN or an infinity in it, in two orders: each is told once, and nobody else is.
TEST(Aggregate, NamesWhoPushedWhatIsNotFinite) {
  constexpr std::uint32_t kCount = 6;
  SumBuffers buffers;
  for (std::uint32_t bad = 0; bad < 1u << kCount; ++bad) {
    for (const bool backwards : {false, true}) {
      Aggregate aggregate(kCount);
      std::vector<std::uint32_t> named, expected;
      const auto take_names = [&] {
        for (const Aggregate::Spoiler& spoiler : aggregate.take_spoilers()) {
          EXPECT_EQ(spoiler.element, 1u);
          named.push_back(spoiler.worker);
        }
      };
      for (std::uint32_t i = 0; i < kCount; ++i) {
        const std::uint32_t leaf = backwards ? kCount - 1 - i : i;
        const float value = (bad >> leaf & 1) == 0 ? 1.0f : leaf % 2 == 0 ? std::nanf("") : HUGE_VALF;
        aggregate.add({0, leaf}, leaf, Payload::of_floats(Values{1, value, 3}), buffers);
        take_names();
        if (bad >> i & 1) expected.push_back(i);
      }
      aggregate.examine();
      take_names();
      std::ranges::sort(named);
      EXPECT_EQ(named, expected) << "set " << bad;
    }
  }
}

// What is too large is nobody's fault.
TEST(Aggregate, AnInfiniteSumNamesNobody) {
  SumBuffers buffers;
  Aggregate aggregate(4);
  for (std::uint32_t leaf = 0; leaf < 4; ++leaf) {
    aggregate.add({0, leaf}, leaf, Payload::of_floats(Values{std::numeric_limits<float>::max(), 0, 0}), buffers);
    EXPECT_TRUE(aggregate.take_spoilers().empty());
  }
  aggregate.examine();
  EXPECT_TRUE(aggregate.take_spoilers().empty());
  EXPECT_TRUE(std::isinf(sum_of(aggregate.terms())[0]));
}

// Of a node with more gradients than are kept, the sum is.
TEST(Aggregate, KeepsAFewGradientsOfANodeAndThenTheirSum) {
  constexpr std::uint32_t kCount = 4 * Aggregate::kKeptMax;
  SumBuffers buffers;
  Aggregate aggregate(kCount);
  std::vector<std::weak_ptr<const void>> lent;
  std::size_t most = 0;
  for (std::uint32_t leaf = 0; leaf < kCount; ++leaf) {
    auto values = std::make_shared<Values>(Values{1, 2, 3});
    lent.emplace_back(values);
    const auto bytes = std::as_bytes(std::span(*values));
    aggregate.add({0, leaf}, leaf, Payload(std::move(values), bytes), buffers);
    const auto kept = std::ranges::count_if(lent, [](const auto& gradient) { return !gradient.expired(); });
    if (!aggregate.complete()) most = std::max(most, static_cast<std::size_t>(kept));
  }
  EXPECT_EQ(sum_of(aggregate.terms()), (Values{kCount, 2 * kCount, 3 * kCount}));
  // Half of the leaves are one sum; of the other half all but the last node's are kept.
  EXPECT_LE(most, 2 * Aggregate::kKeptMax - 1);
}

// After every set of leaves, what every node of the tree looks like, against a set of leaves.
TEST(Aggregate, KnowsRepeatsAndOverlaps) {
  SumBuffers buffers;
  for (std::uint32_t count = 1; count <= 7; ++count) {
    const LeafNode root = protocol::root_of(count);
    for (std::uint32_t present = 0; present < 1u << count; ++present) {
      Aggregate aggregate(count);
      for (std::uint32_t leaf = 0; leaf < count; ++leaf) {
        if (present >> leaf & 1) aggregate.add({0, leaf}, 0, {}, buffers);
      }
      for (std::uint8_t level = 0; level <= root.level; ++level) {
        for (std::uint32_t index = 0; protocol::exists({level, index}, count); ++index) {
          const LeafNode node{level, index};
          std::uint32_t in = 0, all = 0;
          for (std::uint64_t leaf = node.first_leaf(); leaf < protocol::end_leaf(node, count); ++leaf) {
            ++all;
            in += present >> leaf & 1;
          }
          const auto expected = in == 0     ? Aggregate::Added::kAdded
                                : in == all ? Aggregate::Added::kRepeat
                                            : Aggregate::Added::kOverlapping;
          EXPECT_EQ(aggregate.look(node), expected)
              << count << " leaves, set " << present << ", node " << int{level} << "," << index;
        }
      }
    }
  }
}

TEST(Aggregate, NodesOutsideTheTreeAreNotValid) {
  const Aggregate aggregate(3);
  for (LeafNode node : {LeafNode{0, 0}, LeafNode{0, 2}, LeafNode{1, 1}, LeafNode{2, 0}})
    EXPECT_TRUE(aggregate.valid(node));
  for (LeafNode node : {LeafNode{0, 3}, LeafNode{1, 2}, LeafNode{2, 1}, LeafNode{3, 0}, LeafNode{32, 0},
                        LeafNode{255, 0}, LeafNode{0, ~0u}})
    EXPECT_FALSE(aggregate.valid(node));
}

}  // namespace
}  // namespace rubato::server
