#include "server/slice.h"

#include <algorithm>
#include <limits>
#include <span>

namespace rubato::server {

using protocol::Envelope;
using protocol::Outbox;
using protocol::Pull;
using protocol::TraceKind;

Slice::Slice(SliceId id, protocol::SliceSpec spec, std::shared_ptr<SlotPool> pool, VersionCell cell, ShardState& state,
             const VersionTable::Inheritance* inheritance)
    : id_(id),
      spec_(std::move(spec)),
      pool_(std::move(pool)),
      state_(state),
      current_(pool_->take()),
      cell_(cell),
      open_(state.leaves) {
  if (inheritance != nullptr) {
    current_->copy(inheritance->weights, inheritance->state);
    VersionRecord record = inheritance->version;
    record.weights = current_->weights_place();
    record.state = current_->state_place();
    cell_.inherit(record, inheritance->marks);
    return;
  }
  const kernels::SlotView view = current_->view();
  initial_weights(spec_, state_.manifest, state_.first, view.weights);
  for (std::span<float> plane : view.state) std::ranges::fill(plane, 0.0f);
  std::ranges::fill(view.mean_square, 0.0f);
  if (!view.average.empty()) std::ranges::copy(view.weights, view.average.begin());
  cell_.publish(record_of(current_));
}

Status Slice::move_to(std::unique_ptr<kernels::DeviceSlice> device) {
  RUBATO_TRY(device->load(std::as_const(*current_).view()));
  device_ = std::move(device);
  return {};
}

// ---- floors -----------------------------------------------------------------------------------------

Clock Slice::settled_of(std::uint32_t worker) const {
  if (state_.apply == Mode::Apply::kAggregate) return cell_.version().settled - 1;
  const Mark* mark = cell_.mark(worker);
  return mark == nullptr ? kNoClock : mark->clock;
}

Clock Slice::floor_with(std::optional<std::uint32_t> settling, Clock clock) const {
  if (state_.apply != Mode::Apply::kOnArrival) return cell_.version().settled;
  const auto settled = [&](std::uint32_t rank) { return rank == settling ? clock : settled_of(rank); };
  const auto& active = state_.members.active();
  Clock least = std::numeric_limits<Clock>::max(), highest = 0;
  for (const auto& [rank, worker] : active) least = std::min(least, std::max(worker.start_clock, settled(rank) + 1));
  if (!active.empty()) return least;
  // Of workers that are gone the marks stay, for Sealed and for a floor when nobody is left.
  for (std::uint32_t rank = 0; rank < cell_.marks().size(); ++rank) highest = std::max(highest, settled(rank) + 1);
  return highest;
}

// With all workers gone nothing can come any more, and whoever waited for more gets what there is.
bool Slice::reached(Clock clock) const { return state_.members.drained() || floor() >= clock; }

// ---- pulls ------------------------------------------------------------------------------------------

void Slice::pull(const Envelope& envelope, const Pull& pull, Outbox& out) {
  if (pull.snapshot != 0) {
    if (const Pinned* fixed = find_pinned(pull.snapshot)) return answer(envelope, pull, fixed->read, out);
    if (state_.find_snapshot(pull.snapshot) != nullptr) return park(envelope, pull, out);
    return state_.refuse(envelope, fmt::format("a pull from snapshot {}, which is not held", pull.snapshot), out);
  }
  if (!reached(pull.floor)) return park(envelope, pull, out);
  serve(envelope, pull, out);
}

// A pull of the live weights whose floor is reached.
void Slice::serve(const Envelope& envelope, const Pull& pull, Outbox& out) {
  const std::uint32_t worker = envelope.from.rank;
  // Of a step that is settled a pull comes late, and its answer serves nothing.
  if (!state_.rule.compensates() || envelope.from.role != Role::kWorker || pull.clock <= settled_of(worker))
    return answer(envelope, pull, current_, version(), floor(), out);
  const Read* given = worker < state_.workers ? reads_.give(worker, envelope.incarnation, pull.clock, pull.floor,
                                                            {current_, version(), floor()})
                                              : nullptr;
  if (given == nullptr)
    return state_.refuse(envelope, fmt::format("a pull for step {}, with others at hand", pull.clock), out);
  answer(envelope, pull, *given, out);
}

void Slice::park(const Envelope& envelope, const Pull& pull, Outbox& out) {
  for (Parked& parked : parked_) {
    if (parked.envelope.from != envelope.from) continue;
    // An older one may come late; of the same step, the one that asks for less was sent last.
    if (pull.clock > parked.pull.clock || (pull.clock == parked.pull.clock && pull.floor <= parked.pull.floor))
      parked = {envelope, pull};
    return;
  }
  if (parked_.size() >= kParkedMax) return state_.refuse(envelope, "too many pulls wait", out);
  parked_.push_back({envelope, pull});
}

void Slice::answer(const Envelope& envelope, const Pull& pull, const SlotRef& slot, Version version, std::int64_t floor,
                   Outbox& out) const {
  Payload weights = pinned(slot);
  // Readers so slow that slots run short get a copy instead (server/slot.h).
  if (pool_->crowded()) weights = Payload::copy_of(weights.bytes());
  if (envelope.from.role == Role::kWorker || pull.snapshot != 0)
    out.trace({.kind = TraceKind::kServe,
               .worker = envelope.from.rank,
               .clock = pull.clock,
               .slice = id_,
               .floor = floor,
               .wanted = pull.floor,
               .version = version,
               .snapshot = pull.snapshot});
  out.reply(envelope, protocol::Weights{id_, pull.clock, version, floor, pull.snapshot, std::move(weights)});
}

void Slice::membership_changed(Outbox& out) {
  std::erase_if(parked_, [&](const Parked& parked) {
    const Envelope& from = parked.envelope;
    return from.from.role == Role::kWorker &&
           state_.members.admit(from.from.rank, from.incarnation) == Admission::kFenced;
  });
  reads_.forget_if([&](std::uint32_t worker, Incarnation incarnation) {
    return state_.members.admit(worker, incarnation) == Admission::kFenced;
  });
  serve_waiting(out);
}

void Slice::serve_waiting(Outbox& out) {
  for (HeldSnapshot& snapshot : state_.snapshots) {
    if (find_pinned(snapshot.id) == nullptr && reached(snapshot.clock)) pin(snapshot);
  }
  std::erase_if(parked_, [&](const Parked& parked) {
    const Pull& pull = parked.pull;
    if (pull.snapshot != 0) {
      const Pinned* fixed = find_pinned(pull.snapshot);
      if (fixed != nullptr) answer(parked.envelope, pull, fixed->read, out);
      return fixed != nullptr;
    }
    if (!reached(pull.floor)) return false;
    serve(parked.envelope, pull, out);
    return true;
  });
}

// ---- snapshots --------------------------------------------------------------------------------------

const Slice::Pinned* Slice::find_pinned(std::uint64_t snapshot) const {
  const auto at = std::ranges::find(snapshots_, snapshot, &Pinned::id);
  return at == snapshots_.end() ? nullptr : &*at;
}

void Slice::hold(HeldSnapshot& snapshot, Outbox& out) {
  if (floor() > snapshot.clock) snapshot.exact = false;
  serve_waiting(out);
}

void Slice::pin(HeldSnapshot& snapshot) {
  snapshots_.push_back({snapshot.id, {evaluated_slot(), version(), floor()}});
  if (state_.apply == Mode::Apply::kAggregate && floor() != snapshot.clock) snapshot.exact = false;
  --snapshot.missing;
}

// What a snapshot holds. An average is copied: as state it goes on to the next version, and readers read weights alone.
SlotRef Slice::evaluated_slot() {
  const std::span<const float> average = current_->view().average;
  if (average.empty()) return current_;
  SlotRef slot = pool_->take();
  std::ranges::copy(average, slot->view().weights.begin());
  pool_->drop_state(*slot);
  return slot;
}

void Slice::release(std::uint64_t snapshot) {
  std::erase_if(snapshots_, [&](const Pinned& held) { return held.id == snapshot; });
  std::erase_if(parked_, [&](const Parked& parked) { return parked.pull.snapshot == snapshot; });
}

}  // namespace rubato::server
