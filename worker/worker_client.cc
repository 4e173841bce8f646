#include "worker/worker_client.h"

#include <algorithm>

namespace rubato::worker {

using protocol::Outbox;
using protocol::StepGrant;

namespace {

// One more with this key; `counts` is in the order of keys.
template <typename Counts, typename Count, typename Key>
void count(Counts& counts, Key Count::*key, Key value) {
  auto found = std::ranges::lower_bound(counts, value, {}, key);
  if (found == counts.end() || (*found).*key != value) found = counts.insert(found, {value, 0});
  ++found->count;
}

}  // namespace

WorkerClient::WorkerClient(NodeId self, protocol::Register details, protocol::Timing timing)
    : self_(self), timing_(timing), enrollment_(self, std::move(details), timing) {}

void WorkerClient::start(TimeNs now, Outbox& out) {
  enrollment_.start(now, out);
  idle_since_ = moved_ = now;
  next_resend_ = now + timing_.resend_after;
}

TimeNs WorkerClient::deadline() const {
  return enrollment_.over() ? kNever : std::min(enrollment_.deadline(), next_resend_);
}

void WorkerClient::receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, Outbox& out) {
  if (envelope.from == kSchedulerNode) {
    if (const auto* beat = std::get_if<protocol::Beat>(&body)) confirm(beat->clock);
  }
  if (enrollment_.receive(now, envelope, body, out)) {
    if (enrollment_.over()) orders_.push_back(StopComputing{});
    return;
  }
  if (envelope.from == kSchedulerNode) {
    if (const auto* welcome = std::get_if<protocol::Welcome>(&body)) on_welcome(now, *welcome, out);
    if (auto* grant = std::get_if<protocol::Grant>(&body)) on_grant(now, std::move(*grant), out);
    return;
  }
  if (!enrollment_.joined() || envelope.from.role != Role::kServer) return;
  if (auto* weights = std::get_if<protocol::Weights>(&body)) on_weights(now, std::move(*weights), out);
  if (const auto* ack = std::get_if<protocol::PushAck>(&body)) on_push_ack(now, *ack, out);
}

void WorkerClient::on_welcome(TimeNs now, const protocol::Welcome& welcome, Outbox& out) {
  if (enrollment_.moved(welcome, routing_, out)) return send_all_again(now, out);
  if (!enrollment_.welcomed(welcome)) return;
  manifest_ = welcome.manifest;
  routing_ = welcome.routing;
  slices_.resize(routing_.slices.size());
  answered_.resize(routing_.shards(), now);
  out.trace({.kind = protocol::TraceKind::kPlaced,
             .slice = static_cast<SliceId>(slices_.size()),
             .placement = protocol::placement_hash(routing_.slices)});
  for (std::uint32_t shard = 0; shard < routing_.shards(); ++shard)
    out.connect(server_node(shard), routing_.addresses[shard]);
  enrollment_.ready(now, out);
}

// ---- grants and steps -------------------------------------------------------------------------------

void WorkerClient::confirm(Clock clock) {
  std::erase_if(unconfirmed_, [&](const protocol::Tick& tick) { return tick.clock < clock; });
}

WorkerClient::OpenStep* WorkerClient::find_step(Clock clock) {
  const auto found = open_.find(clock);
  return found == open_.end() ? nullptr : &found->second;
}

void WorkerClient::on_grant(TimeNs now, protocol::Grant grant, Outbox& out) {
  if (!enrollment_.joined()) return;  // it overtook the Welcome, and will be said again
  confirm(grant.clock);
  for (StepGrant& step : grant.steps) {
    if (next_step_ == kNoClock) {  // the first of all: nothing was pulled in the wake of a push
      next_step_ = settled_ = step.clock;
      for (std::size_t slice = slices_.size(); slice-- > 0;)  // the first layers' weights first
        pull(now, static_cast<SliceId>(slice), step.clock, step.floor(), out);
    }
    if (OpenStep* open = find_step(step.clock)) {
      add_nodes(*open, step, out);
    } else if (step.clock >= next_step_) {
      const auto at = std::ranges::lower_bound(granted_, step.clock, {}, &StepGrant::clock);
      if (at != granted_.end() && at->clock == step.clock)
        *at = std::move(step);
      else
        granted_.insert(at, std::move(step));
    }
  }
  next_hint_ = grant.next;
  begin_step_if_possible(now, out);
}

// Nodes of a worker that died, for a step that this one is at: computed on the same weights.
void WorkerClient::add_nodes(OpenStep& open, const StepGrant& grant, Outbox& out) {
  StepGrant extra = grant;
  extra.nodes.clear();
  for (const protocol::LeafNode& node : grant.nodes)
    if (std::find(open.grant.nodes.begin(), open.grant.nodes.end(), node) == open.grant.nodes.end())
      extra.nodes.push_back(node);
  if (extra.nodes.empty()) return;
  for (const protocol::LeafNode& node : extra.nodes) open.grant.nodes.push_back(node);
  for (SliceId slice = 0; slice < slices_.size(); ++slice) open.unpushed[slice] += extra.nodes.size();
  ++open.orders_open;
  trace_begin(extra, out);
  orders_.push_back(ComputeStep{std::move(extra), next_hint_, true});
}

void WorkerClient::trace_begin(const StepGrant& step, Outbox& out) const {
  for (const protocol::LeafNode& node : step.nodes)
    out.trace({.kind = protocol::TraceKind::kBegin,
               .worker = self_.rank,
               .clock = step.clock,
               .level = node.level,
               .index = node.index,
               .batch = step.batch,
               .leaves = step.leaves,
               .rule_epoch = step.rule_epoch,
               .rate = step.rate});
}

void WorkerClient::begin_step_if_possible(TimeNs now, Outbox& out) {
  // Others may have closed clocks without this worker (backup): it goes on where they are.
  if (open_.empty() && !granted_.empty() && granted_.front().clock > next_step_)
    next_step_ = settled_ = granted_.front().clock;
  const auto granted = std::ranges::find(granted_, next_step_, &StepGrant::clock);
  if (granted == granted_.end() || open_.size() >= 2) return;
  if (!open_.empty() && open_.begin()->second.orders_open > 0) return;

  OpenStep& step = open_step(now, std::move(*granted));
  granted_.erase(granted);
  step.tick.wait_ns = static_cast<std::uint64_t>(now - idle_since_);
  trace_begin(step.grant, out);
  // With leases nobody knows what comes after the newest grant.
  const bool told = next_hint_.count > 0 || granted_.empty();
  orders_.push_back(ComputeStep{step.grant, told ? next_hint_ : granted_.front().batch, false});
  ++next_step_;
  for (SliceState& slice : slices_) slice.delivered = false;
  for (std::size_t at = slices_.size(); at-- > 0;) {
    const auto slice = static_cast<SliceId>(at);
    SliceState& state = slices_[slice];
    if (state.arrived) {
      protocol::Weights weights = std::move(*state.arrived);
      state.arrived.reset();
      deliver(slice, std::move(weights), out);
    }
    // What was asked for ahead of the grant may be for another step, or wait for a floor that a bound
    // which moves does not ask for any more.
    const bool under_way =
        state.pull && state.pull->clock == step.grant.clock && state.pull->floor <= step.grant.floor();
    if (!state.delivered && !under_way) pull(now, slice, step.grant.clock, step.grant.floor(), out);
  }
}

// The step of a grant, newly begun.
WorkerClient::OpenStep& WorkerClient::open_step(TimeNs now, StepGrant grant) {
  const Clock clock = grant.clock;
  if (!settled_steps_.empty()) {
    settled_steps_.back().key() = clock;
    open_.insert(std::move(settled_steps_.back()));
    settled_steps_.pop_back();
  }
  OpenStep& step = open_[clock];
  step.grant = std::move(grant);
  step.began = now;
  step.orders_open = 1;
  step.pushes.reset(slices_.size());
  step.held.clear();
  step.unpushed.assign(slices_.size(), step.grant.nodes.size());
  step.tick = {};
  step.tick.clock = clock;
  return step;
}

// ---- weights ----------------------------------------------------------------------------------------

void WorkerClient::pull(TimeNs now, SliceId slice, Clock clock, std::int64_t floor, Outbox& out) {
  SliceState& state = slices_[slice];
  state.pull = protocol::Pull{slice, clock, floor, 0};
  state.timer = timer_from(now);
  out.send(owner(slice), *state.pull);
}

// Hands weights to the step that is being computed, if they may serve it.
void WorkerClient::deliver(SliceId slice, protocol::Weights weights, Outbox& out) {
  const StepGrant& step = open_.rbegin()->second.grant;
  if (weights.clock != step.clock || weights.floor < step.floor()) return;
  SliceState& state = slices_[slice];
  state.delivered = true;
  state.used_version = weights.version;
  protocol::TraceEvent event;
  event.kind = protocol::TraceKind::kUse;
  event.worker = self_.rank;
  event.clock = step.clock;
  event.bound = step.bound;
  event.slice = slice;
  event.version = weights.version;
  event.floor = weights.floor;
  out.trace(event);
  orders_.push_back(SliceWeights{step.clock, slice, weights.version, std::move(weights.weights)});
}

void WorkerClient::on_weights(TimeNs now, protocol::Weights weights, Outbox& out) {
  const SliceId slice = weights.slice;
  if (slice >= slices_.size() || weights.snapshot != 0) return;
  SliceState& state = slices_[slice];
  if (!state.pull || state.pull->clock != weights.clock) return;  // an answer that came twice, or late
  if (weights.weights.size() != routing_.slices[slice].elements() * sizeof(float)) return;
  state.pull.reset();
  answered(now, slice);
  if (weights.clock + 1 != next_step_) {  // for the step after the one that is computed
    state.arrived = std::move(weights);
    return;
  }
  if (state.delivered) return;
  const Clock clock = weights.clock;
  deliver(slice, std::move(weights), out);
  if (!state.delivered) pull(now, slice, clock, open_.at(clock).grant.floor(), out);
}

// ---- gradients --------------------------------------------------------------------------------------

void WorkerClient::report(TimeNs now, ComputeReport report, Outbox& out) {
  if (enrollment_.over()) return;
  moved_ = now;
  if (auto* gradient = std::get_if<SliceGradient>(&report)) {
    on_gradient(now, std::move(*gradient), out);
  } else if (const auto* computed = std::get_if<StepComputed>(&report)) {
    on_computed(now, *computed, out);
  } else if (const auto* failed = std::get_if<ComputeFailed>(&report)) {
    enrollment_.leave(failed->error, out);
  }
}

void WorkerClient::on_gradient(TimeNs now, SliceGradient gradient, Outbox& out) {
  OpenStep* step = find_step(gradient.clock);
  RUBATO_CHECK(step != nullptr && gradient.slice < slices_.size(), "a gradient of clock {}", gradient.clock);
  protocol::Push push{gradient.slice,
                      gradient.clock,
                      gradient.node,
                      gradient.samples,
                      slices_[gradient.slice].used_version,
                      step->grant.rule_epoch,
                      step->grant.rate,
                      std::move(gradient.gradient),
                      gradient.local_steps,
                      protocol::travels_exactly(manifest_, routing_.slices[gradient.slice])};
  if (gradient.clock == settled_)
    send_push(now, *step, std::move(push), out);
  else
    step->held.push_back(std::move(push));  // a worker has one unsettled clock
}

void WorkerClient::send_push(TimeNs now, OpenStep& step, protocol::Push push, Outbox& out) {
  const SliceId slice = push.slice;
  protocol::TraceEvent event;
  event.kind = protocol::TraceKind::kPush;
  event.worker = self_.rank;
  event.clock = push.clock;
  event.slice = slice;
  event.level = push.node.level;
  event.index = push.node.index;
  event.samples = push.samples;
  event.rule_epoch = push.rule_epoch;
  event.local_steps = push.local_steps;
  out.trace(event);
  out.send(owner(slice), push);
  step.pushes.add(std::move(push), timer_from(now));
  // Behind its own push, the weights for the next step. Once only, if nodes are added later.
  if (--step.unpushed.at(slice) > 0 || step.grant.last) return;
  const Clock next = step.grant.clock + 1;
  const SliceState& state = slices_[slice];
  if ((state.pull && state.pull->clock == next) || (state.arrived && state.arrived->clock == next)) return;
  pull(now, slice, next, step.grant.floor_at(next), out);
}

void WorkerClient::on_computed(TimeNs now, const StepComputed& computed, Outbox& out) {
  OpenStep* step = find_step(computed.clock);
  RUBATO_CHECK(step != nullptr && step->orders_open > 0, "step {} was computed and never ordered", computed.clock);
  --step->orders_open;
  step->tick.samples += computed.samples;
  step->tick.correct += computed.correct;
  step->tick.loss_sum += computed.loss_sum;
  step->tick.wait_ns += computed.blocked_ns;
  step->tick.weights_ns += computed.blocked_ns;
  idle_since_ = step->computed = now;
  settle_if_complete(now, out);
  begin_step_if_possible(now, out);
}

void WorkerClient::on_push_ack(TimeNs now, const protocol::PushAck& ack, Outbox& out) {
  if (ack.fate == protocol::Fate::kFenced) {
    enrollment_.leave({Cause::kEvicted, fmt::format("{} was taken out of the job", self_.name())}, out);
    orders_.push_back(StopComputing{});
    return;
  }
  OpenStep* step = find_step(ack.clock);
  if (step == nullptr) return;
  const std::optional<protocol::Push> push = step->pushes.take(ack.slice, ack.node);
  if (!push) return;
  answered(now, ack.slice);
  if (ack.fate == protocol::Fate::kApplied) count(step->tick.ages, &protocol::AgeCount::age, ack.age);
  if (ack.fate == protocol::Fate::kAccepted)
    count(step->tick.versions, &protocol::VersionCount::version, push->version);
  if (ack.fate == protocol::Fate::kNonFinite || ack.fate == protocol::Fate::kDropped) ++step->tick.dropped;
  settle_if_complete(now, out);
  begin_step_if_possible(now, out);
}

void WorkerClient::settle_if_complete(TimeNs now, Outbox& out) {
  while (OpenStep* step = find_step(settled_)) {
    if (step->orders_open > 0 || !step->pushes.empty()) return;
    step->tick.step_ns = static_cast<std::uint64_t>(now - step->began);
    step->tick.settling_ns = static_cast<std::uint64_t>(now - step->computed);
    out.send(kSchedulerNode, step->tick);
    if (unconfirmed_.empty()) tick_timer_ = timer_from(now);
    unconfirmed_.push_back(std::move(step->tick));
    last_done_ = step->grant.last;
    settled_steps_.push_back(open_.extract(settled_));
    ++settled_;
    if (OpenStep* next = find_step(settled_)) {
      for (protocol::Push& push : next->held) send_push(now, *next, std::move(push), out);
      next->held.clear();
    }
  }
}

// ---- time -------------------------------------------------------------------------------------------

// Whether a request is to be sent again now; the waits double, up to eight times the first. A wait begins with the last
// that its receiver has answered, if that was later than the request (RFC 6298, 5.3): of a large model requests wait
// for each other on the way, and as long as any of them comes through, those behind it are not lost. What is answered
// comes to an end, since a worker has one unsettled clock: so what is lost is said again all the same.
bool WorkerClient::due(TimeNs now, RequestTimer& timer, TimeNs answered) const {
  if (now - std::max(timer.sent, answered) < timer.wait) return false;
  timer.sent = now;
  timer.wait = std::min(timer.wait * 2, timing_.resend_after * 8);
  return true;
}

void WorkerClient::resend(TimeNs now, Outbox& out) {
  for (SliceState& state : slices_)
    if (state.pull && due(now, state.timer, last_answer(state.pull->slice)))
      out.send(owner(state.pull->slice), *state.pull);
  for (auto& [clock, step] : open_)
    step.pushes.for_each([&](PendingPushes::Pending& pending) {
      if (due(now, pending.timer, last_answer(pending.push.slice))) out.send(owner(pending.push.slice), pending.push);
    });
  if (!unconfirmed_.empty() && due(now, tick_timer_, 0))
    for (const protocol::Tick& tick : unconfirmed_) out.send(kSchedulerNode, tick);
}

// A server has come back. What it has answered is in what it had; of the rest it knows nothing, and who is no other
// repeats what it is asked.
void WorkerClient::send_all_again(TimeNs now, Outbox& out) {
  const auto again = [&](RequestTimer& timer) { timer.sent = now, timer.wait = timing_.resend_after; };
  for (auto& [clock, step] : open_)
    step.pushes.for_each([&](PendingPushes::Pending& pending) {
      again(pending.timer);
      out.send(owner(pending.push.slice), pending.push);
    });
  for (SliceState& state : slices_)
    if (state.pull) {
      again(state.timer);
      out.send(owner(state.pull->slice), *state.pull);
    }
}

void WorkerClient::wake(TimeNs now, Outbox& out) {
  if (enrollment_.over()) return;
  if (now >= next_resend_) {
    next_resend_ = now + timing_.resend_after / 4;
    if (enrollment_.joined()) resend(now, out);
  }
  enrollment_.wake(now, heartbeat(now), out);
  if (enrollment_.over()) orders_.push_back(StopComputing{});
}

protocol::Heartbeat WorkerClient::heartbeat(TimeNs now) const {
  protocol::Heartbeat beat;
  beat.waiting = waiting(now);
  return beat;
}

protocol::Waiting WorkerClient::waiting(TimeNs now) const {
  const auto wait = [&](protocol::WaitKind kind, Clock clock, SliceId slice, TimeNs since) {
    return protocol::Waiting{kind, clock, slice, static_cast<std::uint64_t>(now - since)};
  };
  const auto moves = [&] { return wait(protocol::WaitKind::kNothing, 0, 0, moved_); };
  if (last_done_) return moves();
  const bool computing = !open_.empty() && open_.rbegin()->second.orders_open > 0;
  if (computing) {
    const OpenStep& step = open_.rbegin()->second;
    for (std::size_t slice = slices_.size(); slice-- > 0;)
      if (!slices_[slice].delivered)
        return wait(protocol::WaitKind::kWeights, step.grant.clock, static_cast<SliceId>(slice),
                    std::max(step.began, slices_[slice].timer.since));
    return moves();
  }
  if (!open_.empty()) {
    const OpenStep& step = open_.begin()->second;
    if (!step.pushes.empty())
      return wait(protocol::WaitKind::kAcknowledgement, step.grant.clock, step.pushes.first_slice(), idle_since_);
  }
  return wait(protocol::WaitKind::kGrant, next_step_ == kNoClock ? 0 : next_step_, 0, idle_since_);
}

}  // namespace rubato::worker
