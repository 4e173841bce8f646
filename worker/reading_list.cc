#include "worker/reading_list.h"

#include <algorithm>

#include "base/partition.h"
#include "protocol/leaf_tree.h"
#include "worker/micro_batches.h"

namespace rubato::worker {

void ReadingList::begin(const ComputeStep& order) {
  ranges_.clear();
  taken_ = 0;
  add(order.step, order.step.batch);
  ahead_ = std::min(ranges_.size(), data::Loader::kDepth);
  add(order.step, order.next);
}

void ReadingList::add(const protocol::StepGrant& step, const protocol::BatchRange& batch) {
  for (const protocol::LeafNode& node : step.nodes)
    for (std::uint64_t leaf = node.first_leaf(); leaf < protocol::end_leaf(node, step.leaves); ++leaf) {
      const Part samples = leaf_of_batch({batch.first, batch.count}, step.leaves, leaf);
      if (samples.count == 0) continue;
      const std::uint64_t count = micro_batch_count(samples.count, micro_max_);
      for (std::uint64_t micro = 0; micro < count; ++micro) {
        const Part part = micro_batch(samples, micro_max_, micro);
        ranges_.push_back({batch.epoch, part.first, part.count});
      }
    }
}

void ReadingList::taken() {
  ++taken_;
  const std::size_t end = std::min(taken_ + ahead_, ranges_.size());
  for (std::size_t at = taken_; at < end; ++at) loader_.hint(ranges_[at]);
}

}  // namespace rubato::worker
