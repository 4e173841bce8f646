// What GET /status says; docs/status.md describes the fields.
#include <algorithm>
#include <cmath>

#include "base/pretraining.h"
#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {
namespace {

using Json = nlohmann::ordered_json;

const char* phase_name(Phase phase, int exit_code) {
  switch (phase) {
    case Phase::kGathering:
    case Phase::kInitializing:
      return "starting";
    case Phase::kTraining:
      return "training";
    case Phase::kDraining:
    case Phase::kFinishing:
      return "draining";
    case Phase::kOver:
      if (exit_code == static_cast<int>(Cause::kInterrupted)) return "interrupted";
      return exit_code == 0 ? "finished" : "failed";
  }
  return "unknown";
}

// What a worker waits for, and for how long, now. Its last word may be older than its last tick; the
// scheduler knows by itself whether it owes it a grant.
protocol::Waiting waiting_now(TimeNs now, const Member& member, const ClockTable& clocks) {
  protocol::Waiting waiting = member.beat.waiting;
  const WorkerRecord& work = member.work;
  if (waiting.kind == protocol::WaitKind::kNothing || member.state == MemberState::kDone) return {};
  if (!clocks.contains(member.node.rank)) return {};
  if (waiting.clock < clocks.clock(member.node.rank)) {
    if (!work.granted.empty()) return {};
    return {protocol::WaitKind::kGrant, work.next_grant, 0, static_cast<std::uint64_t>(now - work.ticked)};
  }
  waiting.for_ns += static_cast<std::uint64_t>(now - member.beat_at);
  return waiting;
}

const char* state_name(TimeNs now, const Member& member, const ClockTable& clocks) {
  switch (member.state) {
    case MemberState::kJoining:
      return "joining";
    case MemberState::kDone:
      return "done";
    case MemberState::kLost:
      return "lost";
    case MemberState::kEvicted:
      return "evicted";
    case MemberState::kReady:
      break;
  }
  if (member.node.role != Role::kWorker) return "ready";
  if (!clocks.contains(member.node.rank)) return "joining";  // it comes back, and is not counted yet
  return waiting_now(now, member, clocks).kind == protocol::WaitKind::kNothing ? "computing" : "waiting";
}

const char* wait_name(protocol::WaitKind kind) {
  switch (kind) {
    case protocol::WaitKind::kNothing:
      return "nothing";
    case protocol::WaitKind::kGrant:
      return "grant";
    case protocol::WaitKind::kWeights:
      return "weights";
    case protocol::WaitKind::kAcknowledgement:
      return "acknowledgement";
  }
  return "unknown";
}

Json node_json(TimeNs now, const Member& member, const ClockTable& clocks) {
  return {{"node", member.node.name()},
          {"pid", member.registered.pid},
          {"host", member.registered.host},
          {"state", state_name(now, member, clocks)}};
}

}  // namespace

// Whom a worker waits for. A grant waits for the workers with the least clock; so does an acknowledgement that a shard
// gives only when all have pushed (aggregate), and a pull that it answers only when all have come near enough (a
// bound). Among those, the ones that compute hold up the others, and so do those that have said nothing for a while:
// they may be stopped, whatever they said last. Where all of them wait, it is the shard's turn; and where no shard
// waits for a worker: where updates are committed, and on arrival without a bound.
std::vector<std::string> SchedulerCore::culprits(TimeNs now, const Member& member,
                                                 const protocol::Waiting& waiting) const {
  if (commits_ && commits_->crowded()) return {server_node(commits_->slowest()).name()};
  const bool on_shard = waiting.kind != protocol::WaitKind::kGrant && waiting.slice < routing_.slices.size();
  const Mode& mode = rules_.in_force().mode;
  const bool shard_waits =
      !commits_ && (waiting.kind == protocol::WaitKind::kWeights ? mode.bound != Mode::kUnbounded
                                                                 : mode.apply() == Mode::Apply::kAggregate);
  std::vector<std::string> of;
  if (!on_shard || shard_waits) {
    for (const auto& [rank, clock] : clocks_.clocks()) {
      const Member& other = members_.at(worker_node(rank));
      if (clock != clocks_.min() || rank == member.node.rank) continue;
      const bool waits = waiting_now(now, other, clocks_).kind != protocol::WaitKind::kNothing;
      if (!waits || now - other.heard > 3 * timing_.heartbeat) of.push_back(other.node.name());
    }
  }
  if (on_shard && of.empty()) of.push_back(server_node(routing_.slices[waiting.slice].shard).name());
  return of;
}

Json SchedulerCore::waiting_for(TimeNs now, const Member& member) const {
  const protocol::Waiting waiting = waiting_now(now, member, clocks_);
  if (waiting.kind == protocol::WaitKind::kNothing) return nullptr;
  Json json = {{"what", wait_name(waiting.kind)}, {"clock", waiting.clock}, {"of", culprits(now, member, waiting)}};
  if (waiting.kind != protocol::WaitKind::kGrant && waiting.slice < routing_.slices.size())
    json["slice"] = waiting.slice;
  json["since_s"] = seconds(static_cast<TimeNs>(waiting.for_ns));
  return json;
}

Json SchedulerCore::status(TimeNs now) const {
  Json json;
  const std::uint64_t total = samples_total();
  const double rate = throughput_.per_second(now);
  const Rules& rules = rules_.in_force();
  json["mode"] = mode_name(rules.mode);
  json["bound"] = rules.mode.bound == Mode::kUnbounded ? Json() : Json(rules.mode.bound);
  json["rate"] = rules.rate;
  json["rule_epoch"] = rules.epoch;
  json["changing"] = Json::array();
  for (std::size_t i = 0; i < rules_.pending(); ++i) json["changing"].push_back(rules_json(rules_.pending(i)));
  json["state"] = phase_name(phase_, exit_code_);
  json["missing"] =
      phase_ == Phase::kGathering || phase_ == Phase::kInitializing ? missing() : std::vector<std::string>{};
  json["elapsed_s"] = elapsed_s(phase_ == Phase::kOver ? phase_since_ : now);
  json["epoch"] = epochs_.empty() ? epochs_closed() : epochs_.begin()->first + 1;
  json["epochs"] = job_.train.steps > 0 ? Json() : Json(job_.train.epochs);
  json["steps"] = job_.train.steps > 0 ? Json(job_.train.steps) : Json();
  const std::uint64_t done = samples_settled();
  json["samples_done"] = done;
  json["samples_total"] = total;
  json["samples_per_s"] = rate;
  json["eta_s"] = rate > 0.0 && total > done ? Json(static_cast<double>(total - done) / rate) : Json();
  double loss = 0.0;
  std::size_t with_loss = 0;
  for (const auto& [node, member] : members_)
    if (member.work.samples > 0) loss += member.work.loss, ++with_loss;
  const std::uint64_t epoch =
      epochs_.empty() ? std::max<std::uint64_t>(epochs_closed(), 1) - 1 : epochs_.begin()->first;
  const std::optional<std::size_t> machine = machine_of(job_.model, epoch);
  const Json mean_loss = with_loss > 0 ? Json(loss / static_cast<double>(with_loss)) : Json();
  const auto loss_of = [&](const protocol::EvaluationFigures& figures) {
    return figures.evaluated && !last_evaluated_machine_ ? Json(figures.loss) : Json();
  };
  const auto accuracy_of = [](const protocol::EvaluationFigures& figures) {
    return figures.evaluated && std::isfinite(figures.accuracy) ? Json(figures.accuracy) : Json();
  };
  const std::string part = evaluated_part();
  json["train_loss"] = machine ? Json() : mean_loss;
  json[part + "_loss"] = loss_of(last_evaluation_.figures);
  if (holds_out()) json["test_loss"] = loss_of(last_evaluation_.test);
  if (machine) json["machine"] = *machine + 1;
  if (machine) json["train_reconstruction"] = mean_loss;
  json[part + "_accuracy"] = accuracy_of(last_evaluation_.figures);
  if (holds_out()) json["test_accuracy"] = accuracy_of(last_evaluation_.test);
  json["clock_min"] = clocks_.empty() ? Json() : Json(clocks_.min());
  json["clock_max"] = clocks_.empty() ? Json() : Json(clocks_.max());
  json["workers"] = Json::array();
  json["servers"] = Json::array();
  json["evaluator"] = nullptr;
  const std::string why = why_servers_stay_lost();
  json["servers_stay_lost"] = why.empty() ? Json() : Json(why);
  for (const auto& [node, member] : members_) {
    Json entry = node_json(now, member, clocks_);
    if (node.role == Role::kServer) {
      if (away_.contains(node.rank)) entry["state"] = "returning";
      const protocol::ShardCounters& shard = member.beat.shard;
      entry["slices"] = shard.slices;
      entry["bytes"] = shard.bytes;
      entry["version_min"] = shard.version_min;
      entry["version_max"] = shard.version_max;
      const Counts counts = member.counts();
      entry["pushes"] = counts.pushes;
      entry["pushes_repeated"] = counts.repeated;
      entry["refused_frames"] = counts.refused_frames;
      json["servers"].push_back(std::move(entry));
    } else if (node.role == Role::kEvaluator) {
      json["evaluator"] = std::move(entry);
    } else {
      const WorkerRecord& work = member.work;
      const bool active = clocks_.contains(node.rank);
      const Clock clock = active ? clocks_.clock(node.rank) : work.next_grant;
      entry["clock"] = clock;
      // Of the step in hand, at its grant; and how far ahead of the slowest the worker stands now.
      entry["staleness"] = work.granted.empty()
                               ? Json()
                               : Json(work.granted.begin()->second.clock - work.granted.begin()->second.min_clock);
      entry["lead"] = active ? Json(clock - clocks_.min()) : Json();
      const bool behind = active && rules_.pending() > 0 && clock < rules_.pending(0).first;
      entry["to_go"] = behind ? Json(rules_.pending(0).first - clock) : Json();
      entry["samples_per_s"] = work.samples_per_s();
      entry["step_ms"] = work.step_ns * 1e-6;
      entry["loss"] = work.samples > 0 ? Json(work.loss) : Json();
      entry["age_mean"] =
          work.age_count == 0 ? 0.0 : static_cast<double>(work.age_sum) / static_cast<double>(work.age_count);
      entry["waiting_for"] = waiting_for(now, member);
      const RecentWaits::View waited = recent_waits_.of(node.rank, now);
      entry["waited_share"] = waited.share;
      entry["waited_for"] = waited.culprit ? Json(worker_node(*waited.culprit).name()) : Json();
      json["workers"].push_back(std::move(entry));
    }
  }
  json["refused_frames"] = refused_frames_;
  json["events"] = Json::array();
  for (const Event& event : events_)
    json["events"].push_back({{"id", event.id},
                              {"time_s", event.time_s},
                              {"level", protocol::level_name(event.level)},
                              {"text", event.text}});
  return json;
}

}  // namespace rubato::scheduler
