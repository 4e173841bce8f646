// Updates that the scheduler commits (scheduler/commits.h): from accepted steps to what shards apply.
#include <algorithm>

#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Outbox;

namespace {

// How old the weights under a step's pushes are when the commit is applied. A commit is the next version.
protocol::AgeCounts ages_of(const protocol::Tick& tick, const protocol::Commit& commit) {
  protocol::AgeCounts ages;
  for (const protocol::VersionCount& used : tick.versions)
    ages.push_back({commit.number - 1 - std::min<Version>(used.version, commit.number - 1), used.count});
  return ages;
}

}  // namespace

void SchedulerCore::commit_if_complete(TimeNs now, Outbox& out) {
  if (commits_ && commits_->complete()) commit(now, out);
}

// At the end, what is left over is a last, smaller update.
void SchedulerCore::commit_rest(TimeNs now, Outbox& out) {
  if (!commits_ || !commits_->unfinished()) return;
  commit(now, out);
  close_epochs(now, out);
}

void SchedulerCore::commit(TimeNs now, Outbox& out) {
  // Of rules that change: those of the oldest step that may be in it.
  const double rate = rate_->at(samples_settled() + samples_dropped_, rules_.at(commits_->floor()).rate);
  const Commits::Made made = commits_->make(rate, now);
  const protocol::Commit& message = made.message;
  out.trace({.kind = protocol::TraceKind::kCommit, .floor = message.floor, .number = message.number});
  bool has_samples = false;
  for (const AcceptedStep& step : made.steps) {
    out.trace({.kind = protocol::TraceKind::kContributor,
               .worker = step.worker,
               .clock = step.tick.clock,
               .number = message.number});
    protocol::Tick tick = step.tick;
    tick.ages = ages_of(tick, message);
    settle_step(now, members_.at(worker_node(step.worker)).work, tick, step.epoch, rate);
    if (leases_) leases_->settle(step.worker, tick.clock);
    has_samples = has_samples || tick.samples > 0;
  }
  if (has_samples) ++updates_;
  if (mode_.kind == Mode::Kind::kBackup) overtake(message.floor);
  to_servers(message, out);
}

// backup: clock `open` - 1 is complete. Who has no part in it finishes the step in hand for nothing, and then
// goes on with the others.
void SchedulerCore::overtake(Clock open) {
  for (std::uint32_t rank : active_ranks()) {
    if (clocks_.clock(rank) >= open) continue;
    samples_dropped_ += data_->batch(rank, open - 1).count;
    clocks_.jump(rank, open);
    WorkerRecord& work = members_.at(worker_node(rank)).work;
    if (work.next_grant >= open) continue;
    blocked_.erase({work.next_grant, rank});
    work.next_grant = open;
    blocked_.emplace(open, rank);
  }
}

void SchedulerCore::on_committed(TimeNs now, std::uint32_t shard, const protocol::Committed& message, Outbox& out) {
  if (!commits_) return;
  const bool was_crowded = commits_->crowded();
  commits_->applied(shard, message.number);
  if (was_crowded && !commits_->crowded()) grant_all(now, out);
  if (phase_ == Phase::kFinishing) evaluate_next(now, out);
}

void SchedulerCore::repeat_commits(TimeNs now, Outbox& out) {
  if (!commits_) return;
  each(Role::kServer, [&](Member& server) {
    for (protocol::Commit& commit : commits_->unanswered(server.node.rank, now, timing_.resend_after))
      out.send(server.node, std::move(commit));
  });
  commits_->said_again(now, timing_.resend_after);
}

}  // namespace rubato::scheduler
