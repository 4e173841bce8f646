#include "sim/step_times.h"

#include <algorithm>

#include "base/partition.h"
#include "protocol/leaf_tree.h"
#include "worker/local_steps.h"

namespace rubato::sim {
namespace {

std::uint64_t samples_of(const protocol::StepGrant& step) {
  std::uint64_t samples = 0;
  for (const protocol::LeafNode& node : step.nodes)
    for (std::uint64_t leaf = node.first_leaf(); leaf < protocol::end_leaf(node, step.leaves); ++leaf)
      samples += leaf_of_batch({step.batch.first, step.batch.count}, step.leaves, leaf).count;
  return samples;
}

}  // namespace

Result<StepTimes> StepTimes::open(const Job& job) {
  StepTimes times;
  times.full_ = job.simulation.step_ms * kMillisecond;
  times.fixed_ = job.simulation.step_fixed;
  times.batch_ = static_cast<double>(job.train.batch);
  times.local_ = parse_mode(job.consistency.mode).value().local();
  times.evaluation_ = static_cast<TimeNs>(job.simulation.evaluation_ms * kMillisecond);
  RUBATO_ASSIGN(const Stragglers stragglers, Stragglers::open(job.worker.stragglers, job.train.seed));
  for (std::uint32_t rank = 0; rank < job.cluster.workers; ++rank) times.burdens_.emplace_back(job, rank, stragglers);
  return times;
}

TimeNs StepTimes::step(std::uint32_t rank, const protocol::StepGrant& step) const {
  const double share = static_cast<double>(samples_of(step)) / batch_;
  const std::uint64_t local = worker::local_step_count(step.batch, static_cast<std::uint64_t>(batch_));
  const double steps = local_ ? static_cast<double>(std::max(local, std::uint64_t{1})) : 1.0;
  const auto usual = static_cast<TimeNs>(full_ * (fixed_ * steps + (1.0 - fixed_) * share));
  return burdens_[rank].step_time(usual, step.clock);
}

}  // namespace rubato::sim
