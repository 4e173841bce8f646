// Ticks and grants: the loop that the whole job turns around.
#include <algorithm>
#include <utility>

#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Level;
using protocol::Outbox;
using protocol::StepGrant;

namespace {

protocol::TraceEvent trace_of(protocol::TraceKind kind, std::uint32_t worker, Clock clock) {
  protocol::TraceEvent event;
  event.kind = kind;
  event.worker = worker;
  event.clock = clock;
  return event;
}

// Exponentially weighted mean that starts at the first value.
void blend(double& mean, double value) { mean = mean == 0.0 ? value : 0.9 * mean + 0.1 * value; }

}  // namespace

std::vector<std::uint32_t> SchedulerCore::active_ranks() const {
  std::vector<std::uint32_t> ranks;
  for (const auto& [rank, clock] : clocks_.clocks()) ranks.push_back(rank);
  return ranks;
}

void SchedulerCore::on_tick(TimeNs now, Member& member, const protocol::Tick& tick, Outbox& out) {
  const std::uint32_t rank = member.node.rank;
  if (!clocks_.contains(rank)) return;
  WorkerRecord& work = member.work;
  const auto open = work.granted.begin();
  if (open == work.granted.end() || open->first != tick.clock) {
    // A repeat, or a step whose predecessor's tick was lost; the worker says both again. The grants that
    // a repeat should have brought were lost, perhaps.
    send_grants(member, out);
    return;
  }

  out.trace(trace_of(protocol::TraceKind::kTick, rank, tick.clock));
  const StepGrant step = std::move(open->second);
  work.granted.erase(open);
  note_step(now, work, tick);
  if (leases_) note_pace(rank, tick);
  const Clock settled_before = settled_clock();
  const bool overtaken = tick.clock < clocks_.clock(rank);  // its clock was closed without it
  if (!overtaken) {
    clocks_.advance(rank);
    rules_.ticked(rank, tick.clock, now);
  }
  const bool drained = phase_ == Phase::kDraining && work.granted.empty();
  if (drained || clocks_.clock(rank) == data_->end()) member.state = MemberState::kDone;
  if (!commits_) {
    settle_step(now, work, tick, step.batch.epoch, step.rate);
    if (leases_) leases_->settle(rank, tick.clock);
  } else if (!overtaken) {
    commits_->accept({rank, tick, step.batch.epoch});
    commit_if_complete(now, out);
  }

  if (settled_clock() > settled_before) {
    if (mode_.apply() == Mode::Apply::kAggregate) record_barrier(now);
    rules_come_into_force(now, out);
    close_epochs(now, out);
    admit_returning(now, out);
    grant_all(now, out, rank);
  } else {
    if (leases_) close_epochs(now, out);
    grant(now, member, out);
  }
  finish_if_settled(now, out);
}

// What a tick says of its worker, whatever becomes of the step.
void SchedulerCore::note_step(TimeNs now, WorkerRecord& work, const protocol::Tick& tick) {
  const auto since_last = static_cast<std::uint64_t>(std::max<TimeNs>(now - work.ticked, 1));
  ++work.steps;
  work.total_ns += since_last;
  work.wait_ns += std::min(tick.wait_ns, since_last);
  work.weights_ns += std::min(tick.weights_ns, since_last);
  work.computed = now - std::min(static_cast<TimeNs>(tick.settling_ns), now - work.ticked);
  blend(work.step_ns, static_cast<double>(tick.step_ns));
  if (tick.samples > 0) {
    blend(work.loss, tick.loss_sum / static_cast<double>(tick.samples));
    blend(work.step_samples, static_cast<double>(tick.samples));
    blend(work.between_ticks_s, static_cast<double>(since_last) * 1e-9);
  }
  work.ticked = work.moved = now;
  work.warned = false;
}

// A step whose pushes count: applied, or about to be.
void SchedulerCore::settle_step(TimeNs now, WorkerRecord& work, const protocol::Tick& tick, std::uint64_t epoch,
                                double rate) {
  total_.settle(tick, now);
  if (const auto found = epochs_.find(epoch); found != epochs_.end()) found->second.account.settle(tick, now);
  record_progress(now, tick, rate);
  throughput_.add(tick.samples, now);
  work.samples += tick.samples;
  for (const protocol::AgeCount& entry : tick.ages) {
    work.age_sum += entry.age * entry.count;
    work.age_count += entry.count;
  }
}

// Everything below this clock is settled for good, and is in the weights or dropped.
Clock SchedulerCore::settled_clock() const { return commits_ ? commits_->floor() : clocks_.min(); }

// Ticks of the worker's steps before this one have arrived.
Clock SchedulerCore::confirmed_clock(const Member& worker) const {
  const Clock own = clocks_.clock(worker.node.rank);
  return worker.work.granted.empty() ? own : std::min(own, worker.work.granted.begin()->first);
}

// Looks at every worker that waits and could go on now, because `awaited` got on or is gone.
void SchedulerCore::grant_all(TimeNs now, Outbox& out, std::optional<std::uint32_t> awaited) {
  if (phase_ != Phase::kTraining || clocks_.empty()) return;
  std::vector<std::uint32_t> ready;
  for (const auto& [step, rank] : blocked_) {
    if (step > rules_.highest_grant(rank, clocks_.clock(rank), clocks_.min())) {
      // blocked_ is ordered by step; in a bounded mode nobody behind this one can go on either, unless under
      // later rules, but a worker that has a step in hand may stand before one that has none.
      const Rules& newest = rules_.newest();
      const bool bounded = newest.mode.bound != Mode::kUnbounded && step >= newest.first;
      if (bounded && step > clocks_.min() + newest.mode.bound) break;
      continue;
    }
    ready.push_back(rank);
  }
  for (std::uint32_t rank : ready) {
    Member& worker = members_.at(worker_node(rank));
    const bool idle = worker.work.granted.empty();
    grant(now, worker, out);
    const bool held = idle && !worker.work.granted.empty() && mode_.apply() != Mode::Apply::kAggregate;
    if (held && awaited) record_wait(now, rank, *awaited, worker.work.ticked, now);
  }
}

// Grants a worker whatever the policy allows it now, in one message.
void SchedulerCore::grant(TimeNs now, Member& worker, Outbox& out) {
  const std::uint32_t rank = worker.node.rank;
  if (phase_ != Phase::kTraining || !clocks_.contains(rank) || worker.state == MemberState::kDone) return;
  WorkerRecord& work = worker.work;
  // Whoever was overtaken finishes the step in hand first, and then jumps.
  if (confirmed_clock(worker) < clocks_.clock(rank)) return;
  blocked_.erase({work.next_grant, rank});
  bool granted = false;
  while (work.next_grant <= rules_.highest_grant(rank, clocks_.clock(rank), clocks_.min())) {
    std::optional<StepGrant> step = make_grant(now, worker, out);
    if (!step) break;
    auto event = trace_of(protocol::TraceKind::kGrant, rank, step->clock);
    event.bound = step->bound;
    event.min = step->min_clock;
    event.batch = step->batch;
    event.rule_epoch = step->rule_epoch;
    out.trace(event);
    const std::int64_t staleness = step->clock - step->min_clock;
    total_.staleness_max = std::max(total_.staleness_max, staleness);
    auto& account = epochs_.at(step->batch.epoch).account;
    account.staleness_max = std::max(account.staleness_max, staleness);
    if (work.granted.empty()) work.moved = now;
    ++work.next_grant;
    const bool last = step->last;
    work.granted.emplace(step->clock, std::move(*step));
    granted = true;
    if (last) break;
  }
  const bool more = work.granted.empty() || !work.granted.rbegin()->second.last;
  if (more) blocked_.emplace(work.next_grant, rank);
  if (granted) send_grants(worker, out);
}

// The worker's next step, or nothing where the job ends before it, nothing is left to lease, a snapshot must be
// announced first, or the shards have too many commits to apply.
std::optional<StepGrant> SchedulerCore::make_grant(TimeNs now, const Member& worker, Outbox& out) {
  const std::uint32_t rank = worker.node.rank;
  const Clock clock = worker.work.next_grant;
  if (!leases_ && !reach_epoch_of(clock, now, out)) return std::nullopt;
  const bool aggregate = mode_.apply() == Mode::Apply::kAggregate;
  // In lockstep the state of a clock exists only until the next is applied: shards must know beforehand.
  const bool lockstep = aggregate || mode_.kind == Mode::Kind::kBackup;
  if (lockstep && !snapshots_->known_to_all(clock + 1)) return std::nullopt;
  if (commits_ && commits_->crowded()) return std::nullopt;
  const std::optional<protocol::BatchRange> batch = leases_ ? take_lease(worker) : data_->batch(rank, clock);
  if (!batch) return std::nullopt;

  StepGrant step;
  step.clock = clock;
  step.min_clock = clocks_.min();
  step.bound = rules_.bound(rank, clock, step.min_clock);
  step.batch = *batch;
  step.leaves = data_->leaves();
  const Rules& rules = rules_.at(clock);
  step.rule_epoch = rules.epoch;
  step.rate = rate_->at(aggregate ? data_->samples_before(clock) : samples_settled() + samples_dropped_, rules.rate);
  step.last = data_->end() && clock + 1 == *data_->end();
  if (!aggregate) {
    step.nodes.push_back({0, 0});
    return step;
  }
  if (leaves_clock_ != clock) {
    leaves_clock_ = clock;
    leaves_of_.clear();
    const auto ranks = active_ranks();
    for (std::uint32_t position = 0; position < ranks.size(); ++position)
      leaves_of_[ranks[position]] =
          protocol::nodes_of_worker(position, static_cast<std::uint32_t>(ranks.size()), step.leaves);
  }
  step.nodes = leaves_of_.at(rank);
  return step;
}

// Plans the epoch of a clock, where it is the first to get there. False where the job ends before that clock.
bool SchedulerCore::reach_epoch_of(Clock clock, TimeNs now, Outbox& out) {
  const EpochPlan* plan = data_->epoch_of(clock);
  if (plan == nullptr) plan = data_->plan_epoch_of(clock, active_ranks());
  if (plan == nullptr) return false;
  if (epochs_.count(plan->epoch) == 0 && plan->epoch >= epochs_closed()) {
    epochs_[plan->epoch].plan = *plan;
    announce_snapshots(now, out);
  }
  return true;
}

void SchedulerCore::send_grants(const Member& worker, Outbox& out) const {
  if (worker.work.granted.empty()) return;
  protocol::Grant message;
  message.clock = confirmed_clock(worker);
  for (const auto& [clock, step] : worker.work.granted) message.steps.push_back(step);
  const StepGrant& newest = message.steps.back();
  if (!newest.last && !leases_) {
    message.next = newest.batch;
    message.next.first += newest.batch.count;
  }
  out.send(worker.node, std::move(message));
}

// A snapshot is announced when the slowest worker reaches the clock of the one before: early enough, since
// the shards' floors follow the slowest, and however far ahead the others are.
void SchedulerCore::announce_snapshots(TimeNs now, Outbox& out) {
  const auto parts = static_cast<Clock>(std::max<std::int64_t>(job_.evaluation.per_epoch, 1));
  for (auto& [epoch, entry] : epochs_) {
    const auto end_of = [&, &plan = entry.plan](Clock part) {
      return plan.first + (plan.end - plan.first) * part / parts;
    };
    for (; entry.announced < parts && end_of(entry.announced) <= clocks_.min(); ++entry.announced)
      if (end_of(entry.announced + 1) > end_of(entry.announced))  // else the epoch has fewer clocks than parts
        announce_snapshot(now, entry.plan, end_of(entry.announced + 1), out);
    if (entry.announced < parts) return;
  }
}

void SchedulerCore::announce_snapshot(TimeNs now, const EpochPlan& plan, Clock clock, Outbox& out) {
  const bool final = data_->end() && clock == *data_->end();
  const auto every = static_cast<std::uint64_t>(std::max<std::int64_t>(job_.evaluation.every_epochs, 1));
  const bool due = job_.evaluation.enabled && (plan.epoch + 1) % every == 0;
  if (!final && !due) return;
  if (!final && snapshots_->full()) {
    // Shards hold a bounded number of snapshots; an evaluator that is slower than the epochs leaves some out.
    say(now, Level::kInfo,
        fmt::format("epoch {} is not evaluated at clock {}: the evaluator is behind", plan.epoch + 1, clock), out);
    auto line = metric(now, "evaluation_skipped");
    line["epoch"] = plan.epoch + 1;
    line["clock"] = clock;
    metrics_.push_back(std::move(line));
    return;
  }
  const SnapshotEntry& entry = snapshots_->announce(clock, plan.epoch, final, now);
  to_servers(protocol::Snapshot{entry.id, entry.clock}, out);
}

// Epochs of which everything is settled.
void SchedulerCore::close_epochs(TimeNs now, Outbox& out) {
  if (leases_) return close_leased_epochs(now, out);
  const Clock min = settled_clock();
  announce_snapshots(now, out);
  snapshots_->reach(min, {now, updates_applied(), samples_settled()});
  while (!epochs_.empty() && epochs_.begin()->second.plan.end <= min) {
    close_first_epoch(now);
    data_->forget_before(min);
  }
}

void SchedulerCore::close_first_epoch(TimeNs now) {
  const auto& [epoch, entry] = *epochs_.begin();
  record_epoch(now, entry);
  train_losses_[epoch] = entry.account.train_loss();
  epochs_.erase(epochs_.begin());
}

}  // namespace rubato::scheduler
