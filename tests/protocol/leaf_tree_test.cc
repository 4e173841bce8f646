// The tree against its definition, for every number of leaves up to 17 and every number of workers.
#include "protocol/leaf_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace rubato::protocol {
namespace {

constexpr std::uint32_t kLeavesMax = 17;

// The definition, as naively as it can be said: the leaves of a node are those of its children.
std::vector<std::uint64_t> naive_leaves(LeafNode node, std::uint32_t leaves) {
  if (node.level == 0)
    return node.index < leaves ? std::vector<std::uint64_t>{node.index} : std::vector<std::uint64_t>{};
  const auto below = static_cast<std::uint8_t>(node.level - 1);
  std::vector<std::uint64_t> all = naive_leaves({below, 2 * node.index}, leaves);
  const std::vector<std::uint64_t> right = naive_leaves({below, 2 * node.index + 1}, leaves);
  all.insert(all.end(), right.begin(), right.end());
  return all;
}

std::vector<std::uint64_t> leaves_of(LeafNode node, std::uint32_t leaves) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t leaf = node.first_leaf(); leaf < end_leaf(node, leaves); ++leaf) all.push_back(leaf);
  return all;
}

// Sums as strings, so that their shape shows.
std::string sum_of(const std::string& left, const std::string& right) { return fmt::format("({}+{})", left, right); }

std::string naive_sum(LeafNode node, std::uint32_t leaves) {
  if (node.level == 0) return std::to_string(node.index);
  const auto below = static_cast<std::uint8_t>(node.level - 1);
  const LeafNode left{below, 2 * node.index}, right{below, 2 * node.index + 1};
  if (naive_leaves(right, leaves).empty()) return naive_sum(left, leaves);
  return sum_of(naive_sum(left, leaves), naive_sum(right, leaves));
}

// What servers do: whatever is whole waits at its promoted node until its sibling is there.
class Combination {
 public:
  explicit Combination(std::uint32_t leaves) : leaves_(leaves), top_(root_of(leaves).level) {}

  void add(LeafNode node, std::string sum) {
    node = promoted(node, leaves_, top_);
    const auto sibling = sums_.find(node.sibling());
    if (node.level == top_ || sibling == sums_.end()) {
      ASSERT_TRUE(sums_.emplace(node, std::move(sum)).second);
      return;
    }
    std::string both = node.index % 2 == 0 ? sum_of(sum, sibling->second) : sum_of(sibling->second, sum);
    sums_.erase(sibling);
    add(node.parent(), std::move(both));
  }

  [[nodiscard]] const std::map<LeafNode, std::string>& sums() const { return sums_; }

 private:
  std::uint32_t leaves_;
  std::uint8_t top_;
  std::map<LeafNode, std::string> sums_;
};

TEST(LeafTree, RootIsTheLowestNodeOverAllLeaves) {
  for (std::uint32_t m = 1; m <= kLeavesMax; ++m) {
    const LeafNode root = root_of(m);
    EXPECT_EQ(root.index, 0u);
    EXPECT_EQ(naive_leaves(root, m).size(), m);
    if (root.level > 0) {
      EXPECT_LT(naive_leaves({static_cast<std::uint8_t>(root.level - 1), 0}, m).size(), m);
    }
  }
}

TEST(LeafTree, NodesAreTheirChildren) {
  for (std::uint32_t m = 1; m <= kLeavesMax; ++m) {
    for (std::uint8_t level = 0; level <= root_of(m).level + 1; ++level) {
      for (std::uint32_t index = 0; index <= m + 1; ++index) {
        const LeafNode node{level, index};
        EXPECT_EQ(leaves_of(node, m), naive_leaves(node, m));
        EXPECT_EQ(exists(node, m), !naive_leaves(node, m).empty());
        EXPECT_EQ(node.parent(), node.sibling().parent());
        EXPECT_EQ(node.sibling().sibling(), node);
      }
    }
  }
}

// A promoted node stands for the same leaves, and is the root or has a sibling to be added to.
TEST(LeafTree, PromotedNodes) {
  for (std::uint32_t m = 1; m <= kLeavesMax; ++m) {
    const LeafNode root = root_of(m);
    for (std::uint8_t level = 0; level <= root.level; ++level) {
      for (std::uint32_t index = 0; exists({level, index}, m); ++index) {
        const LeafNode high = promoted({level, index}, m, root.level);
        EXPECT_EQ(naive_leaves(high, m), naive_leaves({level, index}, m));
        EXPECT_TRUE(high == root || exists(high.sibling(), m));
      }
    }
  }
}

// Any range is cut into the fewest nodes, in order.
TEST(LeafTree, NodesOfEveryRange) {
  for (std::uint32_t m = 1; m <= kLeavesMax; ++m) {
    const LeafNode root = root_of(m);
    for (std::uint32_t first = 0; first <= m; ++first) {
      // fewest[end]: by dynamic programming over all nodes that there are.
      std::vector<std::size_t> fewest(m + 1, m + 1);
      fewest[first] = 0;
      for (std::uint32_t at = first; at < m; ++at)
        for (std::uint8_t level = 0; level <= root.level; ++level)
          if (at % (1u << level) == 0) {
            auto& count = fewest[end_leaf({level, at >> level}, m)];
            count = std::min(count, fewest[at] + 1);
          }
      for (std::uint32_t end = first; end <= m; ++end) {
        std::vector<std::uint64_t> covered;
        const LeafNodes nodes = nodes_of_range(first, end, m);
        for (const LeafNode node : nodes) {
          const auto leaves = naive_leaves(node, m);
          covered.insert(covered.end(), leaves.begin(), leaves.end());
          EXPECT_LE(node.level, root.level);
        }
        std::vector<std::uint64_t> wanted(end - first);
        for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = first + i;
        EXPECT_EQ(covered, wanted) << m << " leaves, [" << first << ", " << end << ")";
        EXPECT_EQ(nodes.size(), fewest[end]) << m << " leaves, [" << first << ", " << end << ")";
      }
    }
  }
}

TEST(LeafTree, WorkersPartitionTheLeavesEvenly) {
  for (std::uint32_t m = 1; m <= kLeavesMax; ++m) {
    for (std::uint32_t n = 1; n <= m; ++n) {
      std::vector<std::uint64_t> covered;
      std::set<std::size_t> shares;
      for (std::uint32_t position = 0; position < n; ++position) {
        const std::size_t before = covered.size();
        for (const LeafNode node : nodes_of_worker(position, n, m)) {
          const auto leaves = naive_leaves(node, m);
          covered.insert(covered.end(), leaves.begin(), leaves.end());
        }
        shares.insert(covered.size() - before);
      }
      std::vector<std::uint64_t> all(m);
      for (std::size_t i = 0; i < m; ++i) all[i] = i;
      EXPECT_EQ(covered, all) << n << " workers, " << m << " leaves";
      EXPECT_LE(*shares.rbegin() - *shares.begin(), 1u) << n << " workers, " << m << " leaves";
      EXPECT_GE(*shares.begin(), 1u);
    }
  }
}

// The point of it all: whoever computes what, in whatever order it comes, the root is one and the same sum.
TEST(LeafTree, TheSumHasOneShape) {
  for (std::uint32_t m = 1; m <= kLeavesMax; ++m) {
    const std::string wanted = naive_sum(root_of(m), m);
    for (std::uint32_t n = 1; n <= m; ++n) {
      std::vector<LeafNode> nodes;
      for (std::uint32_t position = 0; position < n; ++position)
        for (const LeafNode node : nodes_of_worker(position, n, m)) nodes.push_back(node);
      for (int order = 0; order < 3; ++order) {
        if (order == 1) std::ranges::reverse(nodes);
        if (order == 2) std::ranges::sort(nodes, {}, [](LeafNode node) { return std::pair(node.index * 7 % 5, node); });
        Combination combination(m);
        for (const LeafNode node : nodes) combination.add(node, naive_sum(node, m));
        ASSERT_EQ(combination.sums().size(), 1u) << n << " workers, " << m << " leaves";
        EXPECT_EQ(combination.sums().begin()->first, root_of(m));
        EXPECT_EQ(combination.sums().begin()->second, wanted) << n << " workers, " << m << " leaves";
      }
    }
  }
}

TEST(LeafTree, ManyLeaves) {
  const std::uint32_t m = 0xFFFFFFFF;
  EXPECT_EQ(root_of(m).level, 32);
  EXPECT_EQ(end_leaf(root_of(m), m), m);
  EXPECT_EQ(nodes_of_range(0, m, m).size(), 1u);
  EXPECT_EQ(nodes_of_worker(0, m, m).size(), 1u);
  // The last leaf has no sibling: it is its parent alone.
  EXPECT_EQ(nodes_of_worker(m - 1, m, m), (LeafNodes{{1, (m - 1) / 2}}));
}

}  // namespace
}  // namespace rubato::protocol
