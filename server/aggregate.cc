#include "server/aggregate.h"

#include <algorithm>
#include <iterator>
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

// What is joined to a part on its way up has no more pieces than that, hence no more additions that wait, and one waits
// for it.
static_assert(Aggregate::kKeptMax + 1 <= kernels::kSumDepth);

void Aggregate::add(LeafNode node, std::uint32_t worker, Payload gradient, SumBuffers& buffers) {
  RUBATO_CHECK(valid(node) && look(node) == Added::kAdded, "node ({}, {})", node.level, node.index);
  Part part{protocol::promoted(node, leaves_, root_.level), take_list()};
  if (!gradient.empty()) part.pieces.push_back({worker, std::move(gradient), {}});
  while (part.node != root_) {
    const auto sibling = parts_.find(part.node.sibling().first_leaf());
    if (sibling == parts_.end() || sibling->second.node != part.node.sibling()) break;
    join(part, std::move(sibling->second));
    spare_nodes_.push_back(parts_.extract(sibling));
    part.node = protocol::promoted(part.node.parent(), leaves_, root_.level);
  }
  if (part.node == root_)
    list_terms(part);
  else if (part.pieces.size() > kKeptMax)
    add_up(part, buffers);
  keep(std::move(part));
}

void Aggregate::keep(Part part) {
  const std::uint64_t first = part.node.first_leaf();
  if (spare_nodes_.empty()) {
    parts_.emplace(first, std::move(part));
    return;
  }
  Parts::node_type node = std::move(spare_nodes_.back());
  spare_nodes_.pop_back();
  node.key() = first;
  node.mapped() = std::move(part);
  parts_.insert(std::move(node));
}

// An addition gives the same bits either way round, so it does not matter which of the two is the left child.
void Aggregate::join(Part& part, Part sibling) {
  if (part.pieces.empty()) std::swap(part.pieces, sibling.pieces);
  if (!sibling.pieces.empty()) {
    ++sibling.pieces.back().folds;
    std::ranges::move(sibling.pieces, std::back_inserter(part.pieces));
    sibling.pieces.clear();
  }
  spare_.push_back(std::move(sibling.pieces));
}

void Aggregate::add_up(Part& part, SumBuffers& buffers) {
  list_terms(part);
  std::vector<float> sum = buffers.take(terms_.front().values.size());
  const bool finite = kernels::cpu::add_up(terms_, sum);
  bool spoiled = false;
  if (!finite) {
    for (const Piece& piece : part.pieces) spoiled |= spoils(piece);
  }
  let_go(std::move(part.pieces), buffers);
  part.pieces = take_list();
  // Nothing else is added to what is spoiled, so that others that spoil it are found when they come.
  if (spoiled)
    buffers.give_back(std::move(sum));
  else
    part.pieces.push_back({0, {}, std::move(sum)});
}

void Aggregate::list_terms(const Part& part) {
  terms_.clear();
  for (const Piece& piece : part.pieces) terms_.push_back({piece.values(), piece.folds});
}

bool Aggregate::spoils(const Piece& piece) {
  const auto element = kernels::cpu::first_nonfinite(piece.borrowed.floats());
  if (element) spoilers_.push_back({piece.worker, *element});
  return element.has_value();
}

void Aggregate::examine() {
  RUBATO_CHECK(complete());
  for (const Piece& piece : parts_.begin()->second.pieces) std::ignore = spoils(piece);
}

void Aggregate::let_go(std::vector<Piece> pieces, SumBuffers& buffers) {
  for (Piece& piece : pieces) buffers.give_back(std::move(piece.own));
  pieces.clear();
  spare_.push_back(std::move(pieces));
}

std::vector<Aggregate::Piece> Aggregate::take_list() {
  if (spare_.empty()) return {};
  std::vector<Piece> list = std::move(spare_.back());
  spare_.pop_back();
  return list;
}

void Aggregate::clear(SumBuffers& buffers) {
  while (!parts_.empty()) {
    let_go(std::move(parts_.begin()->second.pieces), buffers);
    spare_nodes_.push_back(parts_.extract(parts_.begin()));
  }
  terms_.clear();
  spoilers_.clear();
}

}  // namespace rubato::server
