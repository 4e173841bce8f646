#include "server/aggregate.h"

#include <tuple>
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

void Aggregate::add(LeafNode node, std::uint32_t worker, Payload gradient, SumBuffers& buffers) {
  RUBATO_CHECK(valid(node) && look(node) == Added::kAdded, "node ({}, {})", node.level, node.index);
  LeafNode top = protocol::promoted(node, leaves_, root_.level);
  chain_.push_back({top, worker, std::move(gradient), {}});
  while (top != root_) {
    const auto sibling = parts_.find(top.sibling().first_leaf());
    if (sibling == parts_.end() || sibling->second.node != top.sibling()) break;
    chain_.push_back(std::move(sibling->second));
    parts_.erase(sibling);
    top = protocol::promoted(top.parent(), leaves_, root_.level);
  }
  if (top == root_) {
    parts_.emplace(0, Part{root_, worker, {}, {}});
    for (const Part& part : chain_)
      if (!part.empty()) terms_.push_back(part.values());
    return;
  }
  Part sum = std::move(chain_.front());
  for (std::size_t i = 1; i < chain_.size(); ++i) sum = combined(std::move(sum), std::move(chain_[i]), buffers);
  chain_.clear();
  sum.node = top;
  parts_.emplace(top.first_leaf(), std::move(sum));
}

Aggregate::Part Aggregate::combined(Part left, Part right, SumBuffers& buffers) {
  if (right.empty()) return left;
  if (left.empty()) return right;
  // An addition gives the same bits either way round, so whichever side is a buffer takes the sum.
  if (left.own.empty()) std::swap(left, right);
  std::vector<float> sum = left.own.empty() ? buffers.take(left.values().size()) : std::move(left.own);
  const std::span<const float> addend = left.borrowed.empty() ? std::span<const float>(sum) : left.values();
  const bool finite = kernels::cpu::add(sum, addend, right.values());
  // Nothing else is added to what is spoiled, so that others that spoil it are found when they come.
  const bool left_spoils = !finite && spoils(left), right_spoils = !finite && spoils(right);
  buffers.give_back(std::move(right.own));
  if (!left_spoils && !right_spoils) return {left.node, left.worker, {}, std::move(sum)};
  buffers.give_back(std::move(sum));
  return {left.node, left.worker, {}, {}};
}

bool Aggregate::spoils(const Part& part) {
  if (part.borrowed.empty() || kernels::cpu::all_finite(part.borrowed.floats())) return false;
  spoilers_.push_back(part.worker);
  return true;
}

void Aggregate::examine() {
  for (const Part& part : chain_) std::ignore = spoils(part);
}

void Aggregate::clear(SumBuffers& buffers) {
  for (auto& [first, part] : parts_) buffers.give_back(std::move(part.own));
  for (Part& part : chain_) buffers.give_back(std::move(part.own));
  parts_.clear();
  chain_.clear();
  terms_.clear();
  spoilers_.clear();
}

}  // namespace rubato::server
