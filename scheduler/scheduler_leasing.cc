// Epochs that are dealt out lease by lease (scheduler/leases.h). They end when all of their samples are settled,
// whatever clocks the workers are at; so that is also when their snapshots are announced, and taken at once.
#include <algorithm>

#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Outbox;

std::optional<protocol::BatchRange> SchedulerCore::take_lease(const Member& worker) {
  const std::uint32_t rank = worker.node.rank;
  const bool bounded = rules_.at(worker.work.next_grant).mode.bound != Mode::kUnbounded;
  const std::uint64_t most = bounded ? lease_sizes_->size(rank) : static_cast<std::uint64_t>(job_.train.batch);
  const auto lease = leases_->deal(rank, worker.work.next_grant, most);
  if (lease && !epochs_.contains(lease->epoch)) epochs_[lease->epoch].plan = {lease->epoch, 0, 0, active_ranks()};
  return lease;
}

// How long it computed, without the time that it waited for weights, and for answers to its pushes.
void SchedulerCore::note_pace(std::uint32_t rank, const protocol::Tick& tick) {
  const std::uint64_t rest = tick.settling_ns + tick.weights_ns;
  if (tick.step_ns > rest) lease_sizes_->computed(rank, tick.samples, static_cast<TimeNs>(tick.step_ns - rest));
}

// In their order, though a later one may have been settled before.
void SchedulerCore::close_leased_epochs(TimeNs now, Outbox& out) {
  while (!epochs_.empty()) {
    auto& [epoch, entry] = *epochs_.begin();
    announce_leased_snapshots(now, entry, out);
    const std::uint64_t samples = leases_->size(epoch);
    if (leases_->settled(epoch) < samples) return;
    out.trace({.kind = protocol::TraceKind::kEpoch, .samples = static_cast<std::uint32_t>(samples), .number = epoch});
    leases_->forget(epoch);
    close_first_epoch(now);
  }
}

// The last one of all is the final snapshot's (SchedulerCore::finish_if_settled).
void SchedulerCore::announce_leased_snapshots(TimeNs now, EpochAccount& entry, Outbox& out) {
  const auto parts = static_cast<Clock>(std::max<std::int64_t>(job_.evaluation.per_epoch, 1));
  const std::uint64_t epoch = entry.plan.epoch, samples = leases_->size(epoch), settled = leases_->settled(epoch);
  const auto end_of = [&](Clock part) {
    return samples * static_cast<std::uint64_t>(part) / static_cast<std::uint64_t>(parts);
  };
  for (; entry.announced < parts && end_of(entry.announced + 1) <= settled; ++entry.announced) {
    const bool last = leases_->is_last(epoch) && entry.announced + 1 == parts;
    const bool empty = end_of(entry.announced + 1) == end_of(entry.announced);  // more parts than samples
    if (!last && !empty) announce_snapshot(now, entry.plan, settled_clock(), out);
  }
  snapshots_->reach(settled_clock(), {now, updates_applied(), samples_settled()});
}

}  // namespace rubato::scheduler
