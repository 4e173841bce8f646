// How a slice settles pushes: the half of Slice that server/slice.h calls "settling".
#include <algorithm>
#include <span>

#include "kernels/cpu/apply_rule.h"
#include "server/slice.h"

namespace rubato::server {

using protocol::Envelope;
using protocol::Fate;
using protocol::Level;
using protocol::Outbox;
using protocol::Push;
using protocol::PushAck;
using protocol::TraceKind;

void Slice::push(const Envelope& envelope, const Push& push, Outbox& out) {
  if (push.clock < 0) return state_.refuse(envelope, fmt::format("a push of clock {}", push.clock), out);
  switch (state_.apply) {
    case Mode::Apply::kAggregate:
      return push_aggregate(envelope, push, out);
    case Mode::Apply::kOnArrival:
      return push_on_arrival(envelope, push, out);
    case Mode::Apply::kCommitted:
      return push_committed(envelope, push, out);
  }
}

// What is wrong with a push, if anything is.
std::string Slice::complaint(std::uint32_t worker, const Push& push) const {
  if (!is_empty(push) && push.gradient.size() != elements() * sizeof(float))
    return fmt::format("a gradient of {} bytes for {}, which has {} elements", push.gradient.size(),
                       protocol::describe_slice(spec_, state_.manifest), elements());
  if (!is_empty(push) && state_.manifest[spec_.pieces.front().parameter].frozen)
    return fmt::format("a gradient for {}, which is frozen", protocol::describe_slice(spec_, state_.manifest));
  if (!is_empty(push) && state_.rule.outer() != (push.local_steps > 0))
    return fmt::format("a push of {} local steps for {}, under a rule that takes {}", push.local_steps,
                       protocol::describe_slice(spec_, state_.manifest), state_.rule.outer() ? "deltas" : "gradients");
  if (push.version > version())
    return fmt::format("a push computed on version {} of {}, which is at version {}", push.version,
                       protocol::describe_slice(spec_, state_.manifest), version());
  if (!state_.rule.compensates() || is_empty(push)) return {};
  if (reads_.find(worker, push.clock, push.version) == nullptr)
    return fmt::format("a push computed on version {} of {}, which it was not given for step {}", push.version,
                       protocol::describe_slice(spec_, state_.manifest), push.clock);
  return {};
}

// ---- on arrival -------------------------------------------------------------------------------------

void Slice::push_on_arrival(const Envelope& envelope, const Push& push, Outbox& out) {
  const std::uint32_t worker = envelope.from.rank;
  const Mark* mark = cell_.mark(worker);
  const Clock last = mark == nullptr ? kNoClock : mark->clock;
  if (push.clock <= last) return answer_repeat(envelope, push, *mark, out);
  // A step is taken only after the one before it was settled everywhere: a gap would be a floor that lies.
  if (push.clock != std::max(last + 1, state_.members.active().at(worker).start_clock)) {
    ++state_.early;
    return;
  }
  if (const std::string why = complaint(worker, push); !why.empty()) return state_.refuse(envelope, why, out);

  PushAck ack{.slice = id_, .clock = push.clock, .node = push.node, .fate = Fate::kEmpty};
  ack.age = version() - push.version;
  SlotRef next = current_;
  if (!is_empty(push)) {
    Result<SlotRef> made = updated_by(worker, push);
    if (!made.ok()) return state_.fail(made.error());
    next = std::move(*made);
    ack.fate = next == current_ ? Fate::kNonFinite : Fate::kApplied;
    if (ack.fate == Fate::kNonFinite) alarm(worker, push.clock, spoiled_at(push.gradient), out);
  }
  reads_.settle(worker, push.clock);
  // Published together: an update without its mark would be made again by a push that is sent again.
  VersionRecord record = record_of(next);
  if (next != current_) ++record.version;
  ack.version = record.version;
  ack.floor = floor_with(worker, push.clock);
  cell_.publish(record, worker, ack);
  made_current(std::move(next));

  count_settled({worker, push.samples, push.rule_epoch, out.hash(push.gradient.bytes())}, ack, out);
  out.reply(envelope, ack);
  serve_waiting(out);
}

// The current slot, if the gradient is not finite, or makes nothing that is.
Result<SlotRef> Slice::updated_by(std::uint32_t worker, const Push& push) {
  const Read* read = reads_.find(worker, push.clock, push.version);
  const kernels::SumTerm gradient{push.gradient.floats()};
  const Contribution contribution{{&gradient, 1},
                                  push.samples,
                                  state_.divisor.of(push.samples),
                                  version() - push.version,
                                  read == nullptr ? std::span<const float>() : weights_of(read->slot)};
  return updated({&contribution, 1}, push.rate);
}

// ---- aggregate --------------------------------------------------------------------------------------

void Slice::push_aggregate(const Envelope& envelope, const Push& push, Outbox& out) {
  if (!open_.sum.valid(push.node))
    return state_.refuse(
        envelope, fmt::format("leaves ({}, {}) of a batch of {}", push.node.level, push.node.index, state_.leaves),
        out);
  const Clock settled_clocks = cell_.version().settled;
  if (push.clock < settled_clocks) {
    if (push.version > version()) return state_.refuse(envelope, complaint(envelope.from.rank, push), out);
    count_repeat(envelope, push, out);
    if (push.clock == settled_clocks - 1) out.reply(envelope, ack_of_clock(push.node, push.version));
    return;
  }
  if (push.clock > settled_clocks) {
    ++state_.early;
    return;
  }
  if (const std::string why = complaint(envelope.from.rank, push); !why.empty())
    return state_.refuse(envelope, why, out);
  contribute(envelope, push, out);
  if (open_.sum.complete()) settle_clock(out);
}

void Slice::contribute(const Envelope& envelope, const Push& push, Outbox& out) {
  if (open_.pushes.empty()) {
    open_.rate = push.rate;
    open_.rule_epoch = push.rule_epoch;
  }
  if (push.rate != open_.rate || push.rule_epoch != open_.rule_epoch)
    return state_.refuse(envelope,
                         fmt::format("a push of clock {} at rate {} and rule epoch {}; the others of that clock are "
                                     "at {} and {}",
                                     push.clock, push.rate, push.rule_epoch, open_.rate, open_.rule_epoch),
                         out);
  switch (open_.sum.look(push.node)) {
    case Aggregate::Added::kOverlapping:
      return state_.refuse(envelope,
                           fmt::format("leaves ({}, {}), of which some were pushed for clock {} already",
                                       push.node.level, push.node.index, push.clock),
                           out);
    case Aggregate::Added::kRepeat:
      count_repeat(envelope, push, out);
      return await_answer(envelope, push, false, 0);
    case Aggregate::Added::kAdded:
      break;
  }
  if (!is_empty(push)) open_.samples += push.samples;
  open_.sum.add(push.node, envelope.from.rank, is_empty(push) ? Payload() : push.gradient, state_.sums);
  name_spoilers(push.clock, out);
  await_answer(envelope, push, true, out.hash(push.gradient.bytes()));
}

// A gradient is looked at when it is added to another one, or applied: at the latest when its clock is settled.
void Slice::name_spoilers(Clock clock, Outbox& out) {
  for (const Aggregate::Spoiler& spoiler : open_.sum.take_spoilers()) {
    open_.nonfinite = true;
    alarm(spoiler.worker, clock, spoiler.element, out);
  }
}

void Slice::await_answer(const Envelope& envelope, const Push& push, bool added, std::uint32_t gradient_hash) {
  for (Pushed& pushed : open_.pushes) {
    if (pushed.envelope.from != envelope.from || pushed.node != push.node) continue;
    pushed.envelope = envelope;  // it may have come by a new connection
    return;
  }
  open_.pushes.push_back({envelope, push.node, push.version, push.samples, gradient_hash, added});
}

void Slice::settle_clock(Outbox& out) {
  const Clock clock = cell_.version().settled;
  SlotRef next = current_;
  if (!open_.nonfinite && open_.samples > 0) {
    const Contribution contribution{open_.sum.terms(), open_.samples, open_.samples, 0, {}};
    Result<SlotRef> made = updated({&contribution, 1}, open_.rate);
    if (!made.ok()) return state_.fail(made.error());
    next = std::move(*made);
  }
  const bool applied = next != current_;
  if (!applied && open_.samples > 0) {
    open_.sum.examine();
    name_spoilers(clock, out);
    // Finite gradients may have an infinite sum. Whose fault that is nobody can say; the last one is named.
    if (!open_.nonfinite) alarm(open_.pushes.back().envelope.from.rank, clock, protocol::Alarm::kNoElement, out);
  }
  const Fate fate = applied ? Fate::kApplied : open_.samples == 0 ? Fate::kEmpty : Fate::kNonFinite;
  VersionRecord record = record_of(next);
  if (applied) ++record.version;
  record.settled = clock + 1;
  record.fate = fate;
  cell_.publish(record);
  made_current(std::move(next));
  open_.sum.clear(state_.sums);
  open_.samples = 0;
  open_.nonfinite = false;

  for (const Pushed& pushed : open_.pushes) {
    const PushAck ack = ack_of_clock(pushed.node, pushed.echoed);
    if (pushed.added)
      count_settled({pushed.envelope.from.rank, pushed.samples, open_.rule_epoch, pushed.gradient_hash}, ack, out);
    out.reply(pushed.envelope, ack);
  }
  open_.pushes.clear();
  if (fate == Fate::kApplied) trace_apply(clock, fate, open_.rate, out);
  serve_waiting(out);
}

// The answer to every push of the clock settled last: the same whenever it is asked for, as no update
// comes between.
PushAck Slice::ack_of_clock(protocol::LeafNode node, Version echoed) const {
  const VersionRecord& now = cell_.version();
  const Version before = now.fate == Fate::kApplied ? now.version - 1 : now.version;
  return {.slice = id_,
          .clock = now.settled - 1,
          .node = node,
          .fate = now.fate,
          .version = now.version,
          .age = before > echoed ? before - echoed : 0,
          .floor = now.settled};
}

// ---- all --------------------------------------------------------------------------------------------

// The slot that follows the current one, not yet published; or the current one, if the gradients, or what they add up
// to, are not finite. That shows while the next slot is written, which then nobody ever sees.
Result<SlotRef> Slice::updated(std::span<const Contribution> contributions, double rate) {
  SlotRef next = pool_->take();
  const Update update{contributions, rate, version() + 1};
  const std::size_t traffic = pool_->count_update(*current_, *next);
  const Result<bool> finite = device_ != nullptr
                                  ? apply_update(state_.rule, spec_, state_.manifest, update, *device_, next->view())
                                  : apply_update(state_.rule, spec_, state_.manifest, update,
                                                 std::as_const(*current_).view(), next->view(), traffic);
  if (finite.ok() && *finite) return next;
  pool_->drop_state(*next);
  if (!finite.ok()) return finite.error();
  return current_;
}

// As it is now, with the blocks of the slot that is to be current.
VersionRecord Slice::record_of(const SlotRef& next) const {
  VersionRecord record = cell_.version();
  record.weights = next->weights_place();
  record.state = next->state_place();
  return record;
}

// Once its record is published. What may be the current slot itself. Only now what it follows may be written again.
void Slice::made_current(SlotRef next) {
  if (next == current_) return;
  pool_->drop_state(*current_);
  current_ = std::move(next);
}

void Slice::alarm(std::uint32_t worker, Clock clock, std::uint64_t element, Outbox& out) {
  // The scheduler tells people. A job that has diverged has one of these for every push.
  out.note(Level::kInfo, fmt::format("the gradient of {} from worker-{} at clock {} is not finite: dropped",
                                     protocol::describe_element(spec_, state_.manifest, element), worker, clock));
  state_.alarm({.slice = id_, .worker = worker, .clock = clock, .element = element}, out);
}

// Of a gradient; a finite one may have made weights that are not.
std::uint64_t Slice::spoiled_at(const Payload& gradient) {
  return kernels::cpu::first_nonfinite(gradient.floats()).value_or(protocol::Alarm::kNoElement);
}

void Slice::answer_repeat(const Envelope& envelope, const Push& push, const Mark& mark, Outbox& out) {
  count_repeat(envelope, push, out);
  // A worker has one clock that is not settled everywhere, so nobody waits for an older answer.
  if (push.clock == mark.clock) out.reply(envelope, mark);
}

void Slice::count_repeat(const Envelope& envelope, const Push& push, Outbox& out) {
  ++state_.counters.repeated;
  out.trace({.kind = TraceKind::kRepeat,
             .worker = envelope.from.rank,
             .clock = push.clock,
             .slice = id_,
             .level = push.node.level,
             .index = push.node.index});
}

void Slice::count_settled(const PushFacts& push, const PushAck& ack, Outbox& out) {
  ++state_.counters.pushes;
  const bool own_update = ack.fate == Fate::kApplied && state_.apply == Mode::Apply::kOnArrival;
  out.trace({.kind = TraceKind::kSettle,
             .worker = push.worker,
             .clock = ack.clock,
             .slice = id_,
             .level = ack.node.level,
             .index = ack.node.index,
             .samples = push.samples,
             .version = ack.version,
             .age = ack.age,
             .fate = static_cast<std::uint32_t>(ack.fate),
             .gradient_hash = push.gradient_hash,
             .weights_hash = own_update ? weights_hash(out) : 0,
             .rule_epoch = push.rule_epoch});
}

// An update of several pushes became the current version.
void Slice::trace_apply(Clock clock, Fate fate, double rate, Outbox& out) const {
  out.trace({.kind = TraceKind::kApply,
             .clock = clock,
             .slice = id_,
             .version = version(),
             .fate = static_cast<std::uint32_t>(fate),
             .weights_hash = weights_hash(out),
             .rate = rate});
}

std::uint32_t Slice::weights_hash(const Outbox& out) const { return out.hash(std::as_bytes(weights_of(current_))); }

}  // namespace rubato::server
