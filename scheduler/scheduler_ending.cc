// Fixed snapshots, their evaluation, and the end of the job.
#include <algorithm>
#include <cmath>

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
    entry->evaluating = true;
  }
  entry->announced = now;
  out.send(evaluator->node, protocol::Evaluate{entry->id, entry->epoch, entry->clock, entry->final});
}

void SchedulerCore::on_evaluation_done(TimeNs now, const protocol::EvaluationDone& message, Outbox& out) {
  SnapshotEntry* entry = snapshots_ ? snapshots_->evaluating() : nullptr;
  if (entry == nullptr || entry->id != message.snapshot) return;
  const SnapshotEntry done = *entry;
  last_evaluation_ = message;
  const bool final = done.final;
  auto line = metric(now, final ? "final" : "evaluation");
  line["epoch"] = done.epoch + 1;
  line["clock"] = done.clock;
  line["train_loss"] = epochs_closed_ > 0 ? closed_train_loss_ : total_.train_loss();
  const auto figure = [&](double value) {
    return message.evaluated && std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
  };
  line["test_loss"] = figure(message.loss);
  line["test_accuracy"] = figure(message.accuracy);
  line["precision_macro"] = figure(message.precision_macro);
  line["recall_macro"] = figure(message.recall_macro);
  line["f1_macro"] = figure(message.f1_macro);
  line["samples_per_s"] =
      static_cast<double>(samples_settled()) / std::max(seconds(total_.last - training_since_), 1e-9);
  line["staleness_max"] = total_.staleness_max;
  line["age_mean"] = total_.ages.mean();
  line["age_p99"] = total_.ages.quantile(0.99);
  if (final) {
    protocol::ShardCounters sum;
    std::uint64_t refused = refused_frames_;
    for (const auto& [node, member] : members_) {
      sum.pushes += member.beat.shard.pushes;
      sum.repeated += member.beat.shard.repeated;
      refused += member.beat.refused_frames;
    }
    line["train_s"] = seconds(total_.last - training_since_);
    line["samples"] = samples_settled();
    line["samples_dropped"] = samples_dropped_;
    line["torn_steps"] = torn_steps_;
    line["nonfinite"] = nonfinite_;
    line["weights_sha256"] = message.weights_sha256;
    line["pushes"] = sum.pushes;
    line["pushes_repeated"] = sum.repeated;
    line["refused_frames"] = refused;
  }
  if (!message.details_json.empty()) {
    auto details = nlohmann::ordered_json::parse(message.details_json, nullptr, false);
    if (!details.is_discarded()) line["details"] = std::move(details);
  }
  metrics_.push_back(std::move(line));
  if (message.evaluated)
    say(now, Level::kInfo,
        fmt::format("after epoch {}: test loss {:.4f}{}", done.epoch + 1, message.loss,
                    std::isfinite(message.accuracy) ? fmt::format(", accuracy {:.4f}", message.accuracy) : ""),
        out);
  snapshots_->done(message.snapshot);
  release_snapshots(out);
  if (final)
    end_job(now, 0, "the job is done", out);
  else
    evaluate_next(now, out);
}

// Shards hold only so many, and those that were cancelled count: they make room for the final one.
void SchedulerCore::release_snapshots(Outbox& out) {
  if (snapshots_->released() > 0) to_servers(protocol::SnapshotRelease{snapshots_->released()}, out);
}

// ---- the end ----------------------------------------------------------------------------------------

void SchedulerCore::drain(TimeNs now, Outbox& out) {
  if (phase_ == Phase::kTraining) {
    enter_phase(Phase::kDraining, now);
    say(now, Level::kInfo, "draining: what was granted is finished, then the weights are written", out);
    finish_if_settled(now, out);
  } else if (phase_ == Phase::kGathering || phase_ == Phase::kInitializing) {
    end_job(now, static_cast<int>(Cause::kInterrupted), "interrupted before training began", out);
  }
}

// All that was granted is settled, and nothing more will be: the final snapshot can be read.
void SchedulerCore::finish_if_settled(TimeNs now, Outbox& out) {
  if (phase_ != Phase::kTraining && phase_ != Phase::kDraining) return;
  if (!dead_.empty()) return;  // what became of their last steps is not known yet
  for (const auto& [rank, clock] : clocks_.clocks()) {
    const Member& worker = members_.at(worker_node(rank));
    if (!worker.work.granted.empty() || (phase_ == Phase::kTraining && worker.state != MemberState::kDone)) return;
  }
  if (phase_ == Phase::kDraining) {
    // A job that ends early reads the state as it is: what is due later will never come.
    if (snapshots_->cancel_after(clocks_.min()) || snapshots_->entries().empty() ||
        !snapshots_->entries().back().final) {
      const std::uint64_t epoch = epochs_.empty() ? epochs_closed_ : epochs_.begin()->first;
      const SnapshotEntry& entry = snapshots_->announce(clocks_.min(), epoch, true, now);
      release_snapshots(out);
      to_servers(protocol::Snapshot{entry.id, entry.clock}, out);
    }
    exit_code_ = static_cast<int>(Cause::kInterrupted);
  }
  enter_phase(Phase::kFinishing, now);
  evaluate_next(now, out);
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
