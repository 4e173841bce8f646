#include "server/aggregate.h"

#include <utility>

#include "kernels/cpu/apply_rule.h"

namespace rubato::server {

using protocol::LeafNode;

std::vector<float> SumBuffers::take(std::size_t elements) {
  std::vector<std::vector<float>>& spare = spare_[elements];
  if (spare.empty()) return std::vector<float>(elements);
  std::vector<float> buffer = std::move(spare.back());
  spare.pop_back();
  return buffer;
}

void SumBuffers::give_back(std::vector<float> buffer) {
  if (!buffer.empty()) spare_[buffer.size()].push_back(std::move(buffer));
}

Aggregate::Added Aggregate::look(LeafNode node) const {
  const std::uint64_t first = node.first_leaf(), end = protocol::end_leaf(node, leaves_);
  const auto after = parts_.upper_bound(first);
  if (after != parts_.begin()) {
    const std::uint64_t before_end = protocol::end_leaf(std::prev(after)->second.node, leaves_);
    if (before_end >= end) return Added::kRepeat;
    if (before_end > first) return Added::kOverlapping;
  }
  return after != parts_.end() && after->first < end ? Added::kOverlapping : Added::kAdded;
}

void Aggregate::add(LeafNode node, Payload gradient, SumBuffers& buffers) {
  RUBATO_CHECK(valid(node) && look(node) == Added::kAdded, "node ({}, {})", node.level, node.index);
  Part part{protocol::promoted(node, leaves_, root_.level), std::move(gradient), {}};
  while (part.node != root_) {
    const auto sibling = parts_.find(part.node.sibling().first_leaf());
    if (sibling == parts_.end() || sibling->second.node != part.node.sibling()) break;
    Part other = std::move(sibling->second);
    parts_.erase(sibling);
    if (other.node < part.node) std::swap(part, other);
    const LeafNode parent = protocol::promoted(part.node.parent(), leaves_, root_.level);
    part = combined(std::move(part), std::move(other), buffers);
    part.node = parent;
  }
  parts_.emplace(part.node.first_leaf(), std::move(part));
}

Aggregate::Part Aggregate::combined(Part left, Part right, SumBuffers& buffers) {
  if (right.empty()) return left;
  if (left.empty()) return right;
  // An addition gives the same bits either way round, so whichever side is a buffer takes the sum.
  if (left.own.empty() && !right.own.empty()) std::swap(left, right);
  if (left.own.empty()) {
    left.own = buffers.take(left.borrowed.floats().size());
    std::ranges::copy(left.borrowed.floats(), left.own.begin());
    left.borrowed = {};
  }
  kernels::cpu::sum_into(left.own, right.values());
  buffers.give_back(std::move(right.own));
  return left;
}

void Aggregate::clear(SumBuffers& buffers) {
  for (auto& [first, part] : parts_) buffers.give_back(std::move(part.own));
  parts_.clear();
}

}  // namespace rubato::server
