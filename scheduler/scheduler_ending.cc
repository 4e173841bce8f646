// Fixed snapshots, their evaluation, and the end of the job.
#include <algorithm>
#include <cmath>

#include "base/better.h"
#include "base/counted.h"
#include "base/pretraining.h"
#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Level;
using protocol::Outbox;

// ---- evaluation -------------------------------------------------------------------------------------

void SchedulerCore::on_snapshot_taken(TimeNs now, std::uint32_t shard, const protocol::SnapshotTaken& message,
                                      Outbox& out) {
  if (!snapshots_) return;
  members_.at(server_node(shard)).beat.shard = message.shard;
  if (snapshots_->find(message.id) == nullptr) {  // its release was lost
    out.send(server_node(shard), protocol::SnapshotRelease{message.id});
    return;
  }
  snapshots_->taken(shard, message.id);
  evaluate_next(now, out);
}

void SchedulerCore::evaluate_next(TimeNs now, Outbox& out) {
  if (!snapshots_ || phase_ == Phase::kOver) return;
  const Member* evaluator = find(evaluator_node(0));
  if (evaluator == nullptr || evaluator->state != MemberState::kReady) return;
  SnapshotEntry* entry = snapshots_->evaluating();
  if (entry == nullptr) {
    entry = snapshots_->next();
    if (entry == nullptr) return;
    if (entry->final && phase_ != Phase::kFinishing) return;  // its last ticks are still on the way
    if (entry->final && commits_ && !commits_->applied_by_all()) return;
    entry->evaluating = true;
    entry->began = now;
  }
  entry->announced = now;
  protocol::Evaluate order{.snapshot = entry->id, .epoch = entry->epoch, .clock = entry->clock, .final = entry->final};
  if (best_) order.to_beat = figure_of(job_.evaluation, best_->loss, best_->accuracy);
  out.send(evaluator->node, order);
}

void SchedulerCore::on_evaluation_done(TimeNs now, const protocol::EvaluationDone& message, Outbox& out) {
  SnapshotEntry* entry = snapshots_ ? snapshots_->evaluating() : nullptr;
  if (entry == nullptr || entry->id != message.snapshot) return;
  const SnapshotEntry done = *entry;
  longest_evaluation_ = std::max(longest_evaluation_, now - done.began);
  last_evaluation_ = message;
  last_evaluated_machine_ = machine_of(job_.model, done.epoch);
  if (message.best) best_ = {done.epoch, done.clock, message.figures.loss, message.figures.accuracy};
  record_evaluation(now, done, message);
  say_evaluated(now, done, message, out);
  snapshots_->done(message.snapshot);
  release_snapshots(out);
  if (!done.final) {
    judge(now, done, message, out);
    evaluate_next(now, out);
    grant_all(now, out);  // they may have waited for a server that is away to know of this snapshot
    return;
  }
  const bool drained = exit_code_ == static_cast<int>(Cause::kInterrupted);
  const char* text =
      drained ? "interrupted: what was granted is finished, and the weights are written" : "the job is done";
  end_job(now, 0, text, out);
}

void SchedulerCore::say_evaluated(TimeNs now, const SnapshotEntry& entry, const protocol::EvaluationDone& done,
                                  Outbox& out) {
  const auto say_of = [&](const char* part, const protocol::EvaluationFigures& figures) {
    if (!figures.evaluated) return;
    say(now, Level::kInfo,
        fmt::format(
            "after epoch {}: {} {} {:.6g}{}", entry.epoch + 1, part,
            last_evaluated_machine_ ? fmt::format("reconstruction error of machine {}", *last_evaluated_machine_ + 1)
                                    : "loss",
            figures.loss, std::isfinite(figures.accuracy) ? fmt::format(", accuracy {:.4f}", figures.accuracy) : ""),
        out);
  };
  say_of(evaluated_part(), done.figures);
  say_of("test", done.test);
}

// Whether training goes on. What a machine of a dbn makes of its inputs says nothing of labels, and decides nothing.
void SchedulerCore::judge(TimeNs now, const SnapshotEntry& entry, const protocol::EvaluationDone& done, Outbox& out) {
  if (!holds_out() || phase_ != Phase::kTraining || machine_of(job_.model, entry.epoch)) return;
  const EvaluationConfig& evaluation = job_.evaluation;
  if (!early_stopping_.observe(figure_of(evaluation, done.figures.loss, done.figures.accuracy))) return;
  const std::string best = best_ ? fmt::format("the best is {:.4f}, after epoch {}",
                                               figure_of(evaluation, best_->loss, best_->accuracy), best_->epoch + 1)
                                 : "none was a number";
  stopped_early_ = fmt::format("stopped early: {} without a validation {} better by more than {}; {}",
                               counted(static_cast<std::uint64_t>(evaluation.patience), "evaluation"),
                               evaluation.metric, evaluation.min_delta, best);
  auto line = metric(now, "stopped_early");
  line["epoch"] = entry.epoch + 1;
  line["clock"] = entry.clock;
  line["reason"] = stopped_early_;
  metrics_.push_back(std::move(line));
  begin_draining(now, stopped_early_, out);
}

// Shards hold only so many, and those that were cancelled count: they make room for the final one.
void SchedulerCore::release_snapshots(Outbox& out) {
  if (snapshots_->released() > 0) to_servers(protocol::SnapshotRelease{snapshots_->released()}, out);
}

// ---- the end ----------------------------------------------------------------------------------------

void SchedulerCore::drain(TimeNs now, Outbox& out) {
  if (phase_ == Phase::kTraining) {
    begin_draining(now, "draining: what was granted is finished, then the weights are written", out);
  } else if (phase_ == Phase::kGathering || phase_ == Phase::kInitializing) {
    end_job(now, static_cast<int>(Cause::kInterrupted), "interrupted before training began", out);
  }
}

void SchedulerCore::begin_draining(TimeNs now, const std::string& text, Outbox& out) {
  enter_phase(Phase::kDraining, now);
  say(now, Level::kInfo, text, out);
  each(Role::kWorker, [](Member& worker) {
    if (worker.state == MemberState::kReady && worker.work.granted.empty()) worker.state = MemberState::kDone;
  });
  finish_if_settled(now, out);
}

void SchedulerCore::abort(TimeNs now, Cause cause, const std::string& why, Outbox& out) {
  end_job(now, static_cast<int>(cause), why, out);
}

// All that was granted is settled, and nothing more will be: the final snapshot can be read.
void SchedulerCore::finish_if_settled(TimeNs now, Outbox& out) {
  if (phase_ != Phase::kTraining && phase_ != Phase::kDraining) return;
  if (!dead_.empty()) return;  // what became of their last steps is not known yet
  if (phase_ == Phase::kTraining && leases_ && !leases_->dealt_out()) return;
  for (const auto& [rank, clock] : clocks_.clocks()) {
    const Member& worker = members_.at(worker_node(rank));
    const bool more = phase_ == Phase::kTraining && !leases_ && worker.state != MemberState::kDone;
    if (more || !worker.work.granted.empty()) return;
  }
  commit_rest(now, out);
  if (phase_ == Phase::kDraining || leases_) announce_final_snapshot(now, out);
  if (phase_ == Phase::kDraining && stopped_early_.empty()) exit_code_ = static_cast<int>(Cause::kInterrupted);
  enter_phase(Phase::kFinishing, now);
  evaluate_next(now, out);
}

// Of a job that ends at a clock that was not known before: it reads the state as it is, and what is due later will
// never come.
void SchedulerCore::announce_final_snapshot(TimeNs now, Outbox& out) {
  if (snapshots_->cancel_after(clocks_.min()) || snapshots_->entries().empty() || !snapshots_->entries().back().final) {
    const std::uint64_t closed = std::max<std::uint64_t>(epochs_closed(), 1) - 1;
    const std::uint64_t epoch = epochs_.empty() ? closed : epochs_.begin()->first;
    const SnapshotEntry& entry = snapshots_->announce(clocks_.min(), epoch, true, now);
    snapshots_->reach(clocks_.min(), {now, updates_applied(), samples_settled()});
    release_snapshots(out);
    to_servers(protocol::Snapshot{entry.id, entry.clock}, out);
  }
}

void SchedulerCore::enter_phase(Phase phase, TimeNs now) {
  phase_ = phase;
  phase_since_ = now;
}

void SchedulerCore::end_job(TimeNs now, int code, const std::string& text, Outbox& out) {
  if (phase_ == Phase::kOver) return;
  enter_phase(Phase::kOver, now);
  if (code != 0) exit_code_ = code;
  finish_ = {code, text};
  say(now, code == 0 ? Level::kInfo : Level::kError, text, out);
  if (code != 0) {
    auto line = metric(now, "failed");
    line["exit_code"] = exit_code_;
    line["reason"] = text;
    metrics_.push_back(std::move(line));
  }
  for (const auto& [node, member] : members_)
    if (!is_gone(member.state)) out.send(node, finish_);
  out.finish(exit_code_, text);
}

}  // namespace rubato::scheduler
