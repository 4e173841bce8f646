#include "server/pool_plan.h"

#include "base/mode.h"
#include "server/reads.h"
#include "server/shard_state.h"
#include "server/update.h"

namespace rubato::server {
namespace {

// Versions of a slice that wait for their pushes, and for the commits of those.
std::size_t kept_of(const Job& job, const kernels::RuleConfig& rule, std::size_t accepted_max) {
  if (!rule.compensates()) return 0;
  const bool committed = parse_mode(job.consistency.mode).value().apply() == Mode::Apply::kCommitted;
  return Reads::kOfWorkerMax * static_cast<std::size_t>(job.cluster.workers) + (committed ? accepted_max : 0);
}

}  // namespace

PoolPlanner::PoolPlanner(const Job& job)
    : rule_(rule_of(job)),
      readers_(static_cast<std::size_t>(job.cluster.workers) + 1),  // the evaluator reads too
      marks_(parse_mode(job.consistency.mode).value().apply() == Mode::Apply::kAggregate
                 ? 0
                 : static_cast<std::uint32_t>(job.cluster.workers)),
      // In commits on their way, in the open one, not ticked yet, and too late.
      accepted_max_((protocol::Commit::kAheadMax + 3) * static_cast<std::size_t>(job.cluster.workers)),
      kept_(kept_of(job, rule_, accepted_max_)) {}

std::map<std::size_t, PoolPlan> PoolPlanner::pools(std::uint32_t shard,
                                                   std::span<const protocol::SliceSpec> slices) const {
  std::map<std::size_t, PoolPlan> plans;
  for (const protocol::SliceSpec& slice : slices) {
    if (slice.shard != shard) continue;
    PoolPlan& plan = plans[slice.elements()];
    plan.shape = {slice.elements(), kernels::state_planes(rule_.kind), rule_.keeps_mean_square(),
                  rule_.keeps_average()};
    plan.bounds.readers = readers_;
    plan.bounds.snapshots = kSnapshotsMax;
    plan.bounds.kept = kept_;
    ++plan.bounds.slices;
  }
  return plans;
}

}  // namespace rubato::server
