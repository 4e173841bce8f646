#include "scheduler/scheduler_core.h"

#include <algorithm>

namespace rubato::scheduler {

using protocol::Level;
using protocol::Outbox;

SchedulerCore::SchedulerCore(const Job& job, protocol::Timing timing)
    : job_(job),
      timing_(timing),
      job_hash_(job_hash(job)),
      mode_(parse_mode(job.consistency.mode).value()),
      rules_(mode_, job.optimizer.rate),
      early_stopping_(job.evaluation) {}

protocol::Identity SchedulerCore::identity() const { return {kSchedulerNode, 1, generation_, routing_.route}; }

void SchedulerCore::start(TimeNs now, Outbox& /*out*/) {
  started_ = phase_since_ = now;
  next_sweep_ = now + timing_.heartbeat;
}

void SchedulerCore::receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, Outbox& out) {
  if (const auto* message = std::get_if<protocol::Register>(&body)) {
    on_register(now, envelope, *message, out);
    return;
  }
  Member* member = find(envelope.from);
  if (member == nullptr || envelope.incarnation != member->incarnation || is_gone(member->state)) {
    // A life that is over, or never began, hears so; else it would wait for ever.
    if (!std::holds_alternative<protocol::Goodbye>(body))
      out.reply(envelope, protocol::Finish{static_cast<int>(Cause::kEvicted),
                                           fmt::format("{} is no longer a member of this job", envelope.from.name())});
    return;
  }
  out.bind(envelope);
  member->heard = now;
  member->route = envelope.route;
  if (phase_ == Phase::kOver) {
    if (std::holds_alternative<protocol::Goodbye>(body))
      member->state = MemberState::kDone;
    else
      out.send(member->node, finish_);  // what was said before was lost, or is on the way
    return;
  }
  const std::uint32_t rank = envelope.from.rank;
  const bool from_server = envelope.from.role == Role::kServer;
  if (std::holds_alternative<protocol::Ready>(body)) {
    on_ready(now, *member, out);
  } else if (const auto* beat = std::get_if<protocol::Heartbeat>(&body)) {
    on_heartbeat(now, *member, *beat, out);
  } else if (const auto* tick = std::get_if<protocol::Tick>(&body); tick && envelope.from.role == Role::kWorker) {
    on_tick(now, *member, *tick, out);
  } else if (const auto* sealed = std::get_if<protocol::Sealed>(&body); sealed && from_server) {
    on_sealed(now, rank, *sealed, out);
  } else if (const auto* committed = std::get_if<protocol::Committed>(&body); committed && from_server) {
    on_committed(now, rank, *committed, out);
  } else if (const auto* taken = std::get_if<protocol::SnapshotTaken>(&body); taken && from_server) {
    on_snapshot_taken(now, rank, *taken, out);
  } else if (const auto* alarm = std::get_if<protocol::Alarm>(&body); alarm && from_server) {
    on_alarm(now, *member, *alarm, out);
  } else if (const auto* done = std::get_if<protocol::EvaluationDone>(&body);
             done && envelope.from.role == Role::kEvaluator) {
    on_evaluation_done(now, *done, out);
  } else if (const auto* goodbye = std::get_if<protocol::Goodbye>(&body)) {
    member_gone(now, *member, MemberState::kLost, {goodbye->text, /*its_own=*/true}, goodbye->exit_code, out);
  }
  // Anything else is no message for a scheduler; the codec has checked its form, and it changes nothing.
}

void SchedulerCore::wake(TimeNs now, Outbox& out) {
  if (now < next_sweep_) return;
  if (const TimeNs late = now - next_sweep_; late > timing_.lost_after / 2) excuse_all(now, late);
  next_sweep_ = now + timing_.heartbeat;
  sweep(now, out);
}

void SchedulerCore::on_heartbeat(TimeNs now, Member& member, const protocol::Heartbeat& beat, Outbox& out) {
  member.beat = beat;
  member.beat_at = now;
  const bool counts = member.node.role == Role::kWorker && clocks_.contains(member.node.rank);
  out.send(member.node,
           protocol::Beat{member.state != MemberState::kJoining, counts ? confirmed_clock(member) : 0, member.alarms});
  // A worker that waits and does not compute: perhaps it waits for a grant that was given and lost, or,
  // in bsp, for leaves of a dead worker that it was asked to take over, and never heard of.
  const bool idle =
      beat.waiting.kind == protocol::WaitKind::kGrant || beat.waiting.kind == protocol::WaitKind::kAcknowledgement;
  if (counts && idle) send_grants(member, out);
  repeat_route(member, out);
  if (member.node.role != Role::kServer || !snapshots_) return;
  if (beat.generation < generation_) out.send(member.node, membership());
  const bool gate_was_shut = !snapshots_->known_to_all(clocks_.empty() ? 0 : clocks_.max() + 1);
  snapshots_->known(member.node.rank, beat.snapshot);
  if (gate_was_shut) grant_all(now, out);
}

void SchedulerCore::say(TimeNs now, Level level, const std::string& text, Outbox& out) {
  out.note(level, text);
  events_.push_back({++event_ids_, elapsed_s(now), level, text});
  if (events_.size() > kEventsKept) events_.erase(events_.begin());
}

void SchedulerCore::to_servers(const protocol::Body& body, Outbox& out) {
  each(Role::kServer, [&](Member& server) { out.send(server.node, body); });
}

protocol::Membership SchedulerCore::membership() const {
  protocol::Membership message{generation_, {}};
  for (const auto& [rank, clock] : clocks_.clocks())
    message.active.push_back(
        {rank, members_.at(worker_node(rank)).incarnation, members_.at(worker_node(rank)).work.start});
  return message;
}

Member* SchedulerCore::find(NodeId node) {
  const auto found = members_.find(node);
  return found == members_.end() ? nullptr : &found->second;
}

}  // namespace rubato::scheduler
