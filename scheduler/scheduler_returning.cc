// Workers that come back: a new process of a rank whose worker died or was evicted (docs/protocol.md, rule 2).
//
// It registers, is welcomed and gets ready as at the start, and then is counted again: from the least active clock
// on, or from just above the highest clock of which any shard settled a push of its earlier lives, once all shards
// have said which that is. Where all take one clock together it begins with a clock that nobody has begun.
#include <algorithm>

#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Level;
using protocol::Outbox;

// Whoever may be counted again now is. All of them before any is granted a step: leaves are dealt among the active.
void SchedulerCore::admit_returning(TimeNs now, Outbox& out) {
  if (phase_ != Phase::kTraining) return;
  std::vector<std::uint32_t> admitted;
  for (const std::uint32_t rank : std::set(returning_)) {
    Member& worker = members_.at(worker_node(rank));
    if (is_gone(worker.state)) {
      returning_.erase(rank);
    } else if (const std::optional<Clock> start = start_of(worker)) {
      returning_.erase(rank);
      admit(now, worker, *start, out);
      admitted.push_back(rank);
    }
  }
  for (const std::uint32_t rank : admitted) grant(now, members_.at(worker_node(rank)), out);
}

// The clock at which a worker that comes back may begin; nothing where it has to wait.
std::optional<Clock> SchedulerCore::start_of(const Member& worker) const {
  const std::uint32_t rank = worker.node.rank;
  if (worker.state != MemberState::kReady || dead_.contains(rank)) return std::nullopt;
  const auto settled = settled_of_dead_.find(rank);
  const Clock above = settled == settled_of_dead_.end() ? 0 : settled->second + 1;
  const Clock start = std::max(clocks_.min(), above);
  const bool lockstep = mode_.apply() == Mode::Apply::kAggregate || mode_.kind == Mode::Kind::kBackup;
  const bool begun = mode_.apply() == Mode::Apply::kAggregate && start <= leaves_clock_;
  if (lockstep && (start > clocks_.min() || begun)) return std::nullopt;
  if (data_->end() && start >= *data_->end()) return std::nullopt;  // there is nothing left for it to do
  return start;
}

void SchedulerCore::admit(TimeNs now, Member& worker, Clock start, Outbox& out) {
  const std::uint32_t rank = worker.node.rank;
  ++generation_;
  WorkerRecord& work = worker.work;
  work.start = work.next_grant = start;
  work.ticked = work.moved = now;
  clocks_.add(rank, start);
  rules_.joined(rank, start);
  if (commits_) commits_->joined(rank, start);
  if (leases_) lease_sizes_->joined(rank);
  blocked_.emplace(start, rank);
  out.trace({.kind = protocol::TraceKind::kActive, .worker = rank, .clock = start, .life = worker.incarnation});
  to_servers(membership(), out);
  auto line = metric(now, "worker_returned");
  line["worker"] = worker.node.name();
  line["clock"] = start;
  line["life"] = worker.incarnation;
  metrics_.push_back(std::move(line));
  say(now, Level::kInfo,
      fmt::format("{} is back, as process {} on {}, from clock {} on; {} of {} workers are there", worker.node.name(),
                  worker.registered.pid, worker.registered.host, start, clocks_.size(), job_.cluster.workers),
      out);
}

}  // namespace rubato::scheduler
