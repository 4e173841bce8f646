// Members that die, fall silent or do not get on, and gradients that are not finite.
#include <algorithm>
#include <array>
#include <bit>

#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Level;
using protocol::Outbox;

namespace {

// Whether who ends with this would do so again: it does not get on with its job, data, device, disk or memory.
bool would_end_so_again(int code) {
  constexpr std::array kOnes = {Cause::kUsage, Cause::kData, Cause::kDevice, Cause::kStorage, Cause::kMemory};
  return std::ranges::find(kOnes, static_cast<Cause>(code)) != kOnes.end();
}

}  // namespace

// ---- the dead ---------------------------------------------------------------------------------------

void SchedulerCore::member_exited(TimeNs now, const MemberExit& exit, Outbox& out) {
  const int code = exit.code;
  if (exit.pid != 0) ended_[exit.node] = exit.pid;
  // A server is known by its process's rank; its first shard stands for all of them.
  NodeId node = exit.node;
  if (node.role == Role::kServer) node.rank *= static_cast<std::uint32_t>(job_.cluster.shard_threads);
  Member* member = find(node);
  const std::string how =
      code < 0 ? fmt::format("was killed by signal {}", -code) : fmt::format("exited with code {}", code);
  if (phase_ == Phase::kOver) return;
  if (phase_ == Phase::kGathering && may_come_yet(node, code)) {
    say(now, Level::kWarning, fmt::format("{} {} before training began; its place stays open", node.name(), how), out);
    members_.erase(node);
    return;
  }
  if (member == nullptr) {
    if (phase_ == Phase::kGathering)
      end_job(now, code > 0 ? code : static_cast<int>(Cause::kPeerLost),
              fmt::format("{} {} before it joined", node.name(), how), out);
    return;
  }
  if (node.role == Role::kServer && exit.again && why_servers_stay_lost().empty())
    return server_away(now, node, how, out);
  const bool awaited = node.role == Role::kServer && away_.contains(node.rank);
  if (is_gone(member->state) && !awaited) return;
  if (awaited) member->state = MemberState::kJoining;
  member_gone(now, *member, MemberState::kLost, {how}, code, out);
}

// Whether the job can begin although this member died before: somebody starts it again, or it is not needed. One that
// says why it ends would end the same way again.
bool SchedulerCore::may_come_yet(NodeId node, int code) const {
  if (code > 0 && code != static_cast<int>(Cause::kInternal)) return false;
  const bool spare = job_.cluster.min_workers > 0 && job_.cluster.min_workers < job_.cluster.workers;
  return node.role == Role::kEvaluator || (node.role == Role::kWorker && (job_.cluster.restarts > 0 || spare));
}

void SchedulerCore::member_gone(TimeNs now, Member& member, MemberState state, const Departure& why, int code,
                                Outbox& out) {
  if (is_gone(member.state) || phase_ == Phase::kOver) return;
  const std::string text = why.of(member.node);
  const int exit_code = code > 0 ? code : static_cast<int>(Cause::kPeerLost);
  if (member.node.role == Role::kServer) {
    member.state = state;
    const std::string unkept = why_servers_stay_lost();
    end_job(now, exit_code,
            fmt::format("{}: its part of the model is lost, so the job ends{}", text,
                        unkept.empty() ? "" : fmt::format(" ({})", unkept)),
            out);
  } else if (member.node.role == Role::kEvaluator) {
    member.state = state;
    if (SnapshotEntry* entry = snapshots_ ? snapshots_->evaluating() : nullptr) entry->evaluating = false;
    // One that was killed or crashed is started again. One that says why it ends would end the same way again.
    if (phase_ == Phase::kFinishing && code > 0 && code != static_cast<int>(Cause::kInternal))
      end_job(now, exit_code, text + ": the final weights are not evaluated, and may not be written", out);
    else if (would_end_so_again(code))
      end_job(now, exit_code, text + ": without an evaluator nobody would write the final weights", out);
    else
      say(now, Level::kWarning, text + "; training goes on, evaluation waits for another one", out);
  } else if (phase_ == Phase::kGathering || phase_ == Phase::kInitializing) {
    member.state = state;
    end_job(now, exit_code, why.its_own ? text : text + " before training began", out);
  } else if (code == static_cast<int>(Cause::kData)) {
    // Whoever takes over would read the same; and if nobody has to, the job would end well without those samples.
    member.state = state;
    end_job(now, exit_code, text, out);
  } else {
    worker_gone(now, member, state, why, out);
  }
}

void SchedulerCore::worker_gone(TimeNs now, Member& worker, MemberState state, const Departure& why, Outbox& out) {
  const std::uint32_t rank = worker.node.rank;
  worker.state = state;
  if (!clocks_.contains(rank)) {
    say(now, Level::kWarning, why.of(worker.node) + "; it had not begun again", out);
    return;
  }
  if (phase_ == Phase::kFinishing) {  // it had done its part
    say(now, Level::kWarning, why.of(worker.node) + "; all of its steps were settled", out);
    return;
  }
  const Clock clock = clocks_.clock(rank);
  protocol::TraceEvent event;
  event.kind = protocol::TraceKind::kInactive;
  event.worker = rank;
  event.clock = clock;
  out.trace(event);

  ++generation_;
  DeadWorker dead{{rank, worker.incarnation}, worker.work.granted, {}};
  // What becomes of the open steps comes with Sealed; what it would have been granted next is lost.
  if (mode_.apply() == Mode::Apply::kOnArrival) samples_dropped_ += data_->samples_from(rank, worker.work.next_grant);
  if (commits_) {  // what of it was accepted and is in no commit, too
    samples_dropped_ += data_->samples_from(rank, commits_->done(rank));
    commits_->gone(rank);
    if (leases_) leases_->give_back_all(rank);
  }
  data_->leave(rank);
  clocks_.remove(rank);
  rules_.gone(rank);
  if (leases_) lease_sizes_->gone(rank);
  blocked_.erase({worker.work.next_grant, rank});
  to_servers(dead.seal, out);
  dead_[rank] = std::move(dead);
  to_servers(membership(), out);

  auto line = metric(now, "worker_lost");
  line["worker"] = worker.node.name();
  line["clock"] = clock;
  line["reason"] = why.words;
  line["samples_dropped"] = samples_dropped_;
  metrics_.push_back(std::move(line));
  if (clocks_.empty()) {
    end_job(now, static_cast<int>(Cause::kPeerLost), why.of(worker.node) + "; no worker is left", out);
    return;
  }
  // docs/protocol.md, rule 18; plain sgd has none.
  const bool forgets = mode_.local() && job_.optimizer.name != "sgd";
  say(now, Level::kWarning,
      fmt::format("{} at clock {}; {} of {} workers go on{}", why.of(worker.node), clock, clocks_.size(),
                  job_.cluster.workers,
                  forgets ? fmt::format("; the state of its inner {} is lost with it", job_.optimizer.name) : ""),
      out);
  if (mode_.apply() == Mode::Apply::kAggregate) hand_over_leaves(worker, clock, out);
  commit_if_complete(now, out);
  rules_come_into_force(now, out);
  close_epochs(now, out);
  admit_returning(now, out);
  grant_all(now, out, rank);
  finish_if_settled(now, out);
}

// bsp: the survivors compute what the dead worker owed to the open clock. The nodes keep their names, so
// that a shard which has some of them already takes the rest alone (docs/protocol.md, rule 8).
void SchedulerCore::hand_over_leaves(Member& dead, Clock clock, Outbox& out) {
  const auto owed = leaves_of_.find(dead.node.rank);
  if (owed == leaves_of_.end()) return;
  const protocol::LeafNodes nodes = std::move(owed->second);
  leaves_of_.erase(owed);
  // Somebody settled the open clock: then every leaf of it was applied, the dead worker's too.
  if (clock > leaves_clock_ || clocks_.max() > leaves_clock_) return;
  const auto ranks = active_ranks();
  std::set<std::uint32_t> changed;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::uint32_t rank = ranks[i % ranks.size()];
    leaves_of_[rank].push_back(nodes[i]);
    Member& survivor = members_.at(worker_node(rank));
    const auto step = survivor.work.granted.find(leaves_clock_);
    if (step == survivor.work.granted.end()) continue;
    step->second.nodes.push_back(nodes[i]);
    changed.insert(rank);
  }
  for (std::uint32_t rank : changed) send_grants(members_.at(worker_node(rank)), out);
}

void SchedulerCore::on_sealed(TimeNs now, std::uint32_t shard, const protocol::Sealed& message, Outbox& out) {
  const auto found = dead_.find(message.rank);
  if (found == dead_.end() || found->second.seal.incarnation != message.incarnation) return;
  found->second.sealed[shard] = message;
  if (found->second.sealed.size() < routing_.shards()) return;
  if (mode_.apply() == Mode::Apply::kOnArrival) account_for(now, message.rank, found->second);
  Clock& highest = settled_of_dead_.try_emplace(message.rank, kNoClock).first->second;
  for (const auto& [rank, sealed] : found->second.sealed) highest = std::max(highest, sealed.highest);
  dead_.erase(found);
  if (leases_) {  // some may have come back
    close_epochs(now, out);
    grant_all(now, out);
  }
  admit_returning(now, out);
  finish_if_settled(now, out);
}

// What became of the steps that a dead worker had in hand: consumed where every slice settled its push, torn where
// some did; where none did dropped, or, with leases, to be taken by another. A worker pushes nothing of a step before
// the step before it is settled everywhere, so whatever is settled of a later one proves the earlier.
void SchedulerCore::account_for(TimeNs now, std::uint32_t rank, const DeadWorker& dead) {
  for (const auto& [clock, step] : dead.open) {
    if (step.batch.count == 0) continue;
    std::uint64_t settled = 0, slices = 0;
    bool proven = false;
    for (const auto& [shard, sealed] : dead.sealed) {
      slices += sealed.slices;
      if (sealed.highest == clock) settled += sealed.settled;
      proven |= sealed.highest > clock;
    }
    if (proven) settled = slices;
    const bool again = leases_ && settled == 0;
    if (settled == slices) {
      total_.samples += step.batch.count;
      ++total_.steps;
    } else if (!again) {
      samples_dropped_ += step.batch.count;
      if (settled > 0) ++torn_steps_;
    }
    if (again)
      leases_->give_back(rank, clock);
    else if (leases_)
      leases_->settle(rank, clock);
    auto line = metric(now, "worker_sealed");
    line["worker"] = worker_node(rank).name();
    line["clock"] = clock;
    line["slices_settled"] = settled;
    line["slices"] = slices;
    line["samples_leased_again"] = again ? step.batch.count : 0;
    line["samples_dropped"] = samples_dropped_;
    metrics_.push_back(std::move(line));
  }
}

// ---- trouble ----------------------------------------------------------------------------------------

// What came before, or too early, is only answered: the shard says again what is not known.
void SchedulerCore::on_alarm(TimeNs now, Member& shard, const protocol::Alarm& alarm, Outbox& out) {
  const bool next = alarm.number == shard.alarms + 1;
  if (next) ++shard.alarms;
  out.send(shard.node, protocol::Beat{shard.state != MemberState::kJoining, 0, shard.alarms});
  if (!next || alarm.slice >= routing_.slices.size()) return;
  const protocol::SliceSpec& slice = routing_.slices[alarm.slice];
  const std::string what = protocol::describe_element(slice, manifest_, alarm.element);
  ++nonfinite_;
  auto line = metric(now, "nonfinite");
  line["worker"] = worker_node(alarm.worker).name();
  line["clock"] = alarm.clock;
  if (const auto element = protocol::find_element(slice, alarm.element)) {
    line["parameter"] = manifest_[element->parameter].name;
    line["element"] = element->index;
  } else {
    line["parameter"] = protocol::describe_slice(slice, manifest_);
  }
  if (first_nonfinite_.is_null())
    first_nonfinite_ = {{"worker", line["worker"]},
                        {"clock", line["clock"]},
                        {"parameter", line["parameter"]},
                        {"time_s", line["time_s"]}};
  metrics_.push_back(std::move(line));
  const std::string text = fmt::format("the gradient of {} that worker-{} computed at clock {} is not finite", what,
                                       alarm.worker, alarm.clock);
  if (job_.consistency.nonfinite == "stop")
    end_job(now, static_cast<int>(Cause::kDiverged), text + " (a smaller learning rate, or clipping, may help)", out);
  else
    say_some(now, text, out);
}

// A job that has diverged has one of these for every push: the first few are said, and then the 16th, 32nd, ...
void SchedulerCore::say_some(TimeNs now, const std::string& text, Outbox& out) {
  if (nonfinite_ <= kAlarmsSaid)
    say(now, Level::kWarning, text + "; it was dropped", out);
  else if (std::has_single_bit(nonfinite_))
    say(now, Level::kWarning, fmt::format("{}; it was dropped, as {} before", text, nonfinite_ - 1), out);
}

// Called several times a second: who is missing, who is silent, who does not move, what must be said again.
void SchedulerCore::sweep(TimeNs now, Outbox& out) {
  if (phase_ == Phase::kGathering || phase_ == Phase::kInitializing) check_start(now, out);
  if (phase_ == Phase::kGathering || phase_ == Phase::kInitializing) return;
  check_silence(now, out);
  check_away(now, out);
  each(Role::kWorker, [&](Member& worker) { check_progress(now, worker, out); });
  if (phase_ == Phase::kFinishing) check_evaluator(now, out);
  if (phase_ != Phase::kOver) repeat_unanswered(now, out);
}

void SchedulerCore::check_start(TimeNs now, Outbox& out) {
  advance_start(now, out);
  if (phase_ == Phase::kTraining || now - phase_since_ < timing_.start_timeout) return;
  const std::vector<std::string> names = missing();
  if (names.empty()) return;
  end_job(now, static_cast<int>(Cause::kPeerLost),
          fmt::format("after {:.1f} s these members have not come: {}", elapsed_s(now), fmt::join(names, ", ")), out);
}

// Whoever sweeps so late was stopped itself, perhaps with all of its job, and what was said to it meanwhile is still to
// be heard: time that it slept through counts against nobody. After a long sleep others may have slept as long, and
// wake later; one who is only a little late, again and again, must still find who is silent.
void SchedulerCore::excuse_all(TimeNs now, TimeNs own_sleep) {
  const auto later = [&](TimeNs since) { return std::min(now, since + own_sleep); };
  for (auto& entry : members_) {
    Member& member = entry.second;
    const bool anew = own_sleep > timing_.lost_after && !is_gone(member.state);
    member.heard = anew ? now : later(member.heard);
    member.work.moved = later(member.work.moved);
  }
  phase_since_ = later(phase_since_);
  for (auto& entry : away_) entry.second = later(entry.second);
  if (!snapshots_) return;
  for (SnapshotEntry& entry : snapshots_->entries()) entry.began = later(entry.began);
}

void SchedulerCore::check_silence(TimeNs now, Outbox& out) {
  std::vector<NodeId> silent;
  for (const auto& [node, member] : members_)
    if (!is_gone(member.state) && !(node.role == Role::kServer && away_.contains(node.rank)) &&
        now - member.heard > timing_.lost_after)
      silent.push_back(node);
  for (NodeId node : silent) {
    if (phase_ == Phase::kOver) return;
    Member& member = members_.at(node);
    out.send(node,
             protocol::Finish{static_cast<int>(Cause::kEvicted), "the scheduler lost contact and went on without it"});
    member_gone(now, member, MemberState::kEvicted,
                {fmt::format("has been silent for {:.1f} s (stopped, or cut off)", seconds(now - member.heard))}, 0,
                out);
  }
}

// Twenty times the longest so far, if that is longer: a large test set is no dead evaluator. With a holdout those
// before were of what is held out, and the final one reads the test set, too, which may be as large as all training
// samples: that is given twice its time, besides.
TimeNs SchedulerCore::evaluation_limit(bool final) const {
  constexpr double kLongest = 1e18;  // far beyond any job, and a TimeNs
  const double held_out = job_.evaluation.holdout, longest = static_cast<double>(longest_evaluation_);
  const double test = final && held_out > 0.0 ? 2.0 * std::min(longest / held_out, kLongest / 4) : 0.0;
  return std::max(timing_.evaluation, static_cast<TimeNs>(std::min(20.0 * longest + test, kLongest)));
}

// Somebody has to read the final snapshot, and to come to an end with it.
void SchedulerCore::check_evaluator(TimeNs now, Outbox& out) {
  const Member* evaluator = find(evaluator_node(0));
  if (evaluator->state == MemberState::kReady) {
    const SnapshotEntry* entry = snapshots_->evaluating();
    if (entry == nullptr || now - entry->began <= evaluation_limit(entry->final)) return;
    end_job(now, static_cast<int>(Cause::kPeerLost),
            fmt::format("{} lives and has not ended the evaluation of epoch {} for {:.1f} s: {} "
                        "(evaluation.timeout_s gives it longer)",
                        evaluator->node.name(), entry->epoch + 1, seconds(now - entry->began),
                        entry->final ? "the final weights were written before it, if it could read them"
                                     : "the final weights are not written"),
            out);
    return;
  }
  const TimeNs waited = now - std::max(evaluator->heard, phase_since_);
  if (waited < timing_.start_timeout) return;
  end_job(now, static_cast<int>(Cause::kPeerLost),
          fmt::format("{} is gone and has not come back for {:.1f} s: nobody reads the final weights",
                      evaluator->node.name(), seconds(waited)),
          out);
}

void SchedulerCore::repeat_unanswered(TimeNs now, Outbox& out) {
  for (SnapshotEntry& entry : snapshots_->entries()) {
    if (now - entry.announced < timing_.resend_after) continue;
    entry.announced = now;
    // All had taken what is evaluated; but one that has come back takes it again.
    if (entry.evaluating)
      evaluate_next(now, out);
    else
      release_snapshots(out);
    each(Role::kServer, [&](Member& server) {
      if (entry.taken.count(server.node.rank) == 0) out.send(server.node, protocol::Snapshot{entry.id, entry.clock});
    });
  }
  repeat_commits(now, out);
  for (const auto& entry : dead_) {
    const DeadWorker& dead = entry.second;
    each(Role::kServer, [&](Member& server) {
      if (dead.sealed.count(server.node.rank) == 0) out.send(server.node, dead.seal);
    });
  }
}

// A worker that computes, waits for nobody, and does not get on, is named, and then evicted.
void SchedulerCore::check_progress(TimeNs now, Member& worker, Outbox& out) {
  WorkerRecord& work = worker.work;
  if (phase_ == Phase::kOver || is_gone(worker.state) || work.granted.empty()) return;
  if (worker.beat.waiting.kind != protocol::WaitKind::kNothing) {
    work.moved = std::max(work.moved, now - static_cast<TimeNs>(work.step_ns));
    return;
  }
  // Weights that came and gradients that went tell a long step from one that stands still.
  const std::uint64_t still_ns = worker.beat.waiting.for_ns;
  if (still_ns < static_cast<std::uint64_t>(worker.beat_at))
    work.moved = std::max(work.moved, worker.beat_at - static_cast<TimeNs>(still_ns));
  // Twenty times its usual step, if that is longer: a slow machine is no dead one.
  constexpr double kLongest = 0x1p62;  // clocks of many steps and much patience are more than a TimeNs holds
  const double clock_ns = static_cast<double>(timing_.evict_after) * static_cast<double>(mode_.steps_per_clock());
  const auto limit = static_cast<TimeNs>(std::min(std::max(clock_ns, 20.0 * work.step_ns), kLongest));
  const TimeNs still = now - work.moved;
  if (still <= limit / 2) work.warned = false;
  if (still > limit / 2 && !work.warned) {
    work.warned = true;
    say(now, Level::kWarning,
        fmt::format(
            "{} has not got on with step {} for {:.1f} s; it will be evicted at {:.1f} s (consistency.evict_after_s)",
            worker.node.name(), work.granted.begin()->first, seconds(still), seconds(limit)),
        out);
  }
  if (still > limit) {
    out.send(worker.node, protocol::Finish{static_cast<int>(Cause::kEvicted), "it did not get on with its step"});
    worker_gone(now, worker, MemberState::kEvicted,
                {fmt::format("did not get on with step {} for {:.1f} s", work.granted.begin()->first, seconds(still))},
                out);
  }
}

}  // namespace rubato::scheduler
