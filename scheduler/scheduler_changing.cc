// Other rules in a running job: from the wish to the moment at which they are in force (docs/protocol.md, rule 16).
#include <algorithm>

#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Level;
using protocol::Outbox;

using Json = nlohmann::ordered_json;

namespace {

Error refused(std::string text) { return {Cause::kRefused, std::move(text)}; }

}  // namespace

Result<Json> SchedulerCore::change_rules(TimeNs now, const RuleChange& change, bool dry_run, Outbox& out) {
  const Rules last = rules_.newest();
  Rules next{last.epoch + 1, 0, change.mode.value_or(last.mode), change.rate.value_or(last.rate), now};
  if (phase_ == Phase::kTraining) next.first = std::max(first_not_granted(), last.first);
  RUBATO_TRY(objection_to(next.mode, next.first));
  const bool changed = next.mode != last.mode || next.rate != last.rate;
  Json answer = rules_json(changed ? next : last);
  answer["changed"] = changed;
  if (!changed || dry_run) return answer;

  // Nobody was granted a step of the rules announced before: they never come into force.
  const bool replaces = last.first == next.first;
  rules_.announce(next, clocks_.clocks());
  const Mode& mode = next.mode;
  const bool moves = mode.kind == Mode::Kind::kDssp;
  out.trace({.kind = protocol::TraceKind::kRules,
             .clock = next.first,
             .bound = mode.bound,
             .min = moves ? mode.least : mode.bound,
             .rule_epoch = next.epoch,
             .rate = next.rate});
  Json line = metric(now, "set");
  line.update(rules_json(next));
  line["replaces"] = replaces ? Json(last.epoch) : Json();
  metrics_.push_back(std::move(line));
  say(now, Level::kInfo,
      fmt::format("set: {} from clock {} on; the slowest worker has {} to go", rules_text(next.mode, next.rate),
                  next.first, next.first - clocks_.min()),
      out);
  rules_come_into_force(now, out);
  grant_all(now, out);  // the new rules may allow what the old ones did not
  return answer;
}

// What speaks against other rules now, if anything does.
Status SchedulerCore::objection_to(const Mode& mode, Clock first) const {
  switch (phase_) {
    case Phase::kGathering:
    case Phase::kInitializing:
      return refused("training has not begun; wait for it, or give the job another mode or rate at its start");
    case Phase::kDraining:
    case Phase::kFinishing:
      return refused("the job is ending: no step will be granted any more");
    case Phase::kOver:
      return refused("the job is over");
    case Phase::kTraining:
      break;
  }
  RUBATO_TRY(check_mode_change(rules_.newest().mode, mode));
  if (leases_ && leases_->dealt_out()) return refused("all samples are dealt out: no step is left for other rules");
  if (data_->end() && first >= *data_->end())
    return refused(fmt::format("a worker was granted the job's last step, {}: no clock is left for other rules",
                               *data_->end() - 1));
  if (rules_.pending() >= RuleBook::kPendingMax && first > rules_.newest().first)
    return refused(
        fmt::format("{} changes before this one are not in force yet; the slowest worker has {} clocks to go",
                    rules_.pending(), rules_.newest().first - clocks_.min()));
  return {};
}

// The first clock of which no active worker was granted a step.
Clock SchedulerCore::first_not_granted() const {
  Clock first = 0;
  for (const auto& [rank, clock] : clocks_.clocks())
    first = std::max(first, members_.at(worker_node(rank)).work.next_grant);
  return first;
}

// Where the slowest worker stands in new rules by now, everybody does.
void SchedulerCore::rules_come_into_force(TimeNs now, Outbox& out) {
  while (const Rules* rules = rules_.come_into_force(settled_clock())) {
    Json line = metric(now, "in_force");
    line.update(rules_json(*rules));
    line["since_set_s"] = seconds(now - rules->set_at);
    metrics_.push_back(std::move(line));
    say(now, Level::kInfo,
        fmt::format("in force everywhere: {}, {:.1f} s after it was set", rules_text(rules->mode, rules->rate),
                    seconds(now - rules->set_at)),
        out);
  }
}

Json SchedulerCore::rules_json(const Rules& rules) const {
  return {{"rule_epoch", rules.epoch},
          {"mode", mode_name(rules.mode)},
          {"rate", rules.rate},
          {"clock", rules.first},
          {"to_go", std::max<Clock>(rules.first - clocks_.min(), 0)}};
}

}  // namespace rubato::scheduler
