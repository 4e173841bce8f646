#include "server/shard_core.h"

#include <algorithm>
#include <map>

#include "base/result.h"

namespace rubato::server {

using protocol::ActiveWorker;
using protocol::Envelope;
using protocol::Outbox;

namespace {

// Clocks count steps: beyond this one is a lie, and adding to it must not overflow.
constexpr Clock kClockMax = Clock{1} << 62;

Error malformed(std::string text) { return {Cause::kMalformed, std::move(text)}; }

Status check_active(const std::vector<ActiveWorker>& active) {
  for (const ActiveWorker& worker : active) {
    if (worker.start_clock < 0 || worker.start_clock > kClockMax)
      return malformed(fmt::format("worker-{} starting at clock {}", worker.rank, worker.start_clock));
  }
  return {};
}

// Every piece lies within its parameter, and all pieces of the slice are under one rule.
Status check_slice(const protocol::SliceSpec& slice, const protocol::Manifest& manifest) {
  if (slice.pieces.empty()) return malformed("a slice without pieces");
  for (const protocol::Piece& piece : slice.pieces) {
    if (piece.parameter >= manifest.size())
      return malformed(fmt::format("a slice of parameter {} of {}", piece.parameter, manifest.size()));
    const ParameterSpec& parameter = manifest[piece.parameter];
    const auto elements = static_cast<std::uint64_t>(parameter.elements());
    if (piece.count == 0 || piece.first > elements || piece.count > elements - piece.first)
      return malformed(fmt::format("a slice of elements [{}, +{}) of {}, which has {}", piece.first, piece.count,
                                   parameter.name, elements));
    const ParameterSpec& first = manifest[slice.pieces.front().parameter];
    if (parameter.decay != first.decay || parameter.rate_scale != first.rate_scale)
      return malformed(
          fmt::format("a slice of {} and {}, which are under different rules", first.name, parameter.name));
  }
  return {};
}

}  // namespace

ShardCore::ShardCore(NodeId self, const Job& job, protocol::Register registration, protocol::Timing timing)
    : self_(self),
      registration_(std::move(registration)),
      timing_(timing),
      readers_(static_cast<std::size_t>(job.cluster.workers) + 1) {  // the evaluator reads too
  state_.rule = kernels::make_rule(job.optimizer).value();
  state_.apply = parse_mode(job.consistency.mode).value().apply();
  state_.leaves = static_cast<std::uint32_t>(job.train.micro_batches);
  state_.seed = job.train.seed;
}

protocol::Identity ShardCore::identity() const { return {self_, incarnation_, generation_, route_}; }

protocol::ShardCounters ShardCore::counters() const {
  protocol::ShardCounters counters = state_.counters;
  counters.slices = owned_;
  for (const auto& slice : slices_) {
    if (slice == nullptr) continue;
    counters.version_min = counters.bytes == 0 ? slice->version() : std::min(counters.version_min, slice->version());
    counters.version_max = std::max(counters.version_max, slice->version());
    counters.bytes += slice->elements() * sizeof(float);
  }
  return counters;
}

// ---- time -------------------------------------------------------------------------------------------

void ShardCore::start(TimeNs now, Outbox& out) {
  give_up_ = now + 2 * timing_.start_timeout;
  next_send_ = now;
  wake(now, out);
}

TimeNs ShardCore::deadline() const { return phase_ == Phase::kEnded ? kNever : std::min(next_send_, give_up_); }

void ShardCore::wake(TimeNs now, Outbox& out) {
  if (phase_ == Phase::kEnded) return;
  // Whoever wakes so late was stopped, and what was said to it meanwhile is still to be heard: the silence
  // is its own.
  if (phase_ == Phase::kServing && now - next_send_ > timing_.lost_after / 2) give_up_ = now + timing_.lost_after;
  if (now >= give_up_) {
    const int code = static_cast<int>(Cause::kPeerLost);
    if (phase_ == Phase::kJoining)
      return end(code,
                 fmt::format("the scheduler has not let {} in for {:.1f} s: it is not there, or waits for members that "
                             "do not come",
                             self_.name(), seconds(2 * timing_.start_timeout)),
                 out);
    return end(code,
               fmt::format("the scheduler has not answered for {:.1f} s: it is gone, or cannot be reached; {} stops",
                           seconds(timing_.lost_after), self_.name()),
               out);
  }
  if (now < next_send_) return;
  if (phase_ == Phase::kServing) return beat(now, out);
  out.send(kSchedulerNode, registration_);
  next_send_ = now + timing_.resend_after / 4;
}

void ShardCore::beat(TimeNs now, Outbox& out) {
  if (!ready_known_) out.send(kSchedulerNode, protocol::Ready{});
  out.send(kSchedulerNode, protocol::Heartbeat{.waiting = {},
                                               .generation = generation_,
                                               .snapshot = newest_snapshot_,
                                               .refused_frames = state_.refused,
                                               .shard = counters()});
  report_snapshots(true, out);
  next_send_ = now + timing_.heartbeat;
}

void ShardCore::end(int exit_code, std::string text, Outbox& out) {
  phase_ = Phase::kEnded;
  out.finish(exit_code, std::move(text));
}

// ---- messages ---------------------------------------------------------------------------------------

void ShardCore::receive(TimeNs now, const Envelope& envelope, protocol::Body body, Outbox& out) {
  if (phase_ == Phase::kEnded) return;
  if (const auto* push = std::get_if<protocol::Push>(&body)) return on(envelope, *push, out);
  if (const auto* pull = std::get_if<protocol::Pull>(&body)) return on(envelope, *pull, out);
  if (envelope.from != kSchedulerNode) return state_.refuse(envelope, "only the scheduler may say that", out);
  from_scheduler(now, envelope, body, out);
}

void ShardCore::from_scheduler(TimeNs now, const Envelope& envelope, const protocol::Body& body, Outbox& out) {
  if (phase_ == Phase::kServing) give_up_ = now + timing_.lost_after;
  if (const auto* refuse = std::get_if<protocol::Refuse>(&body)) {
    if (phase_ == Phase::kJoining) end(static_cast<int>(refuse->cause), refuse->text, out);
    return;
  }
  if (const auto* finish = std::get_if<protocol::Finish>(&body)) {
    out.send(kSchedulerNode, protocol::Goodbye{finish->exit_code, finish->text});
    return end(finish->exit_code, finish->text, out);
  }
  if (const auto* answer = std::get_if<protocol::Beat>(&body)) {
    ready_known_ = ready_known_ || answer->ready_known;
    return;
  }
  if (const auto* welcome = std::get_if<protocol::Welcome>(&body)) return on(now, envelope, *welcome, out);
  if (phase_ == Phase::kJoining) return;  // sent to an earlier life, or overtook the Welcome: will be said again
  std::visit(
      [&](const auto& message) {
        if constexpr (requires { on(now, envelope, message, out); }) {
          on(now, envelope, message, out);
        } else {
          state_.refuse(envelope, "no message for a server", out);
        }
      },
      body);
}

void ShardCore::on(TimeNs now, const Envelope& envelope, const protocol::Welcome& welcome, Outbox& out) {
  if (phase_ == Phase::kServing) {  // said again because Ready was lost
    if (!ready_known_) out.send(kSchedulerNode, protocol::Ready{});
    return;
  }
  if (const Status status = check_welcome(welcome); !status.ok())
    return state_.refuse(envelope, status.error().message, out);
  incarnation_ = welcome.incarnation;
  generation_ = welcome.generation;
  route_ = welcome.routing.route;
  state_.manifest = welcome.manifest;
  if (const Status status = make_slices(welcome); !status.ok())
    return end(status.error().exit_code(), status.error().message, out);
  out.trace({.kind = protocol::TraceKind::kPlaced,
             .slice = static_cast<SliceId>(slices_.size()),
             .placement = protocol::placement_hash(welcome.routing.slices)});
  state_.members.set_active(welcome.active, out);
  phase_ = Phase::kServing;
  give_up_ = now + timing_.lost_after;
  beat(now, out);
}

Status ShardCore::check_welcome(const protocol::Welcome& welcome) const {
  RUBATO_TRY(protocol::check_manifest(welcome.manifest));
  for (const protocol::SliceSpec& slice : welcome.routing.slices) RUBATO_TRY(check_slice(slice, welcome.manifest));
  return check_active(welcome.active);
}

Status ShardCore::make_slices(const protocol::Welcome& welcome) {
  const std::vector<protocol::SliceSpec>& slices = welcome.routing.slices;
  std::map<std::size_t, std::size_t> count_of_size;
  for (const protocol::SliceSpec& spec : slices) {
    if (spec.shard == self_.rank) ++count_of_size[spec.elements()];
  }
  std::map<std::size_t, std::shared_ptr<SlotPool>> pools;
  for (const auto& [elements, count] : count_of_size) {
    RUBATO_ASSIGN(pools[elements],
                  SlotPool::create({elements, kernels::state_planes(state_.rule.kind)},
                                   {.slices = count, .readers = readers_, .snapshots = kSnapshotsMax}));
  }
  slices_.resize(slices.size());
  for (SliceId id = 0; id < slices.size(); ++id) {
    if (slices[id].shard != self_.rank) continue;
    slices_[id] = std::make_unique<Slice>(id, slices[id], pools.at(slices[id].elements()), state_);
    ++owned_;
  }
  return {};
}

Slice* ShardCore::own_slice(SliceId id) { return id < slices_.size() ? slices_[id].get() : nullptr; }

void ShardCore::on(TimeNs /*now*/, const Envelope& envelope, const protocol::Membership& message, Outbox& out) {
  if (message.generation <= generation_) return;
  if (const Status status = check_active(message.active); !status.ok())
    return state_.refuse(envelope, status.error().message, out);
  generation_ = message.generation;
  state_.members.set_active(message.active, out);
  for (const auto& slice : slices_) {
    if (slice != nullptr) slice->membership_changed(out);
  }
  report_snapshots(false, out);
}

void ShardCore::on(TimeNs /*now*/, const Envelope& /*envelope*/, const protocol::Seal& seal, Outbox& out) {
  state_.members.seal(seal.rank, seal.incarnation);
  protocol::Sealed sealed{
      .rank = seal.rank, .incarnation = seal.incarnation, .slices = static_cast<std::uint32_t>(owned_)};
  for (const auto& slice : slices_) {
    if (slice != nullptr) sealed.highest = std::max(sealed.highest, slice->settled_of(seal.rank));
  }
  for (const auto& slice : slices_) {
    if (slice != nullptr && sealed.highest != kNoClock && slice->settled_of(seal.rank) == sealed.highest)
      ++sealed.settled;
  }
  out.send(kSchedulerNode, sealed);
}

void ShardCore::on(const Envelope& envelope, const protocol::Push& push, Outbox& out) {
  if (envelope.from.role != Role::kWorker) return state_.refuse(envelope, "a push of who is no worker", out);
  Slice* slice = own_slice(push.slice);
  if (slice == nullptr)
    return state_.refuse(envelope, fmt::format("a push of slice {}, which is not here", push.slice), out);
  switch (state_.members.admit(envelope.from.rank, envelope.incarnation)) {
    case Admission::kEarly:
      ++state_.early;
      return;
    case Admission::kFenced:
      ++state_.counters.fenced;
      return out.reply(envelope, protocol::PushAck{.slice = push.slice,
                                                   .clock = push.clock,
                                                   .node = push.node,
                                                   .fate = protocol::Fate::kFenced,
                                                   .version = slice->version(),
                                                   .floor = slice->floor()});
    case Admission::kAdmitted:
      slice->push(envelope, push, out);
      report_snapshots(false, out);
  }
}

void ShardCore::on(const Envelope& envelope, const protocol::Pull& pull, Outbox& out) {
  if (envelope.from.role != Role::kWorker && envelope.from.role != Role::kEvaluator)
    return state_.refuse(envelope, "a pull of who reads no weights", out);
  Slice* slice = own_slice(pull.slice);
  if (slice == nullptr)
    return state_.refuse(envelope, fmt::format("a pull of slice {}, which is not here", pull.slice), out);
  // A worker of which no word has come yet may read: that changes nothing here.
  if (envelope.from.role == Role::kWorker &&
      state_.members.admit(envelope.from.rank, envelope.incarnation) == Admission::kFenced) {
    ++state_.counters.fenced;
    return;
  }
  slice->pull(envelope, pull, out);
}

// ---- snapshots --------------------------------------------------------------------------------------

void ShardCore::on(TimeNs now, const Envelope& envelope, const protocol::Snapshot& message, Outbox& out) {
  // Said again, or late. Where it is held whole, every heartbeat says so.
  if (message.id <= released_snapshot_ || state_.find_snapshot(message.id) != nullptr) return;
  if (state_.snapshots.size() >= kSnapshotsMax) return state_.refuse(envelope, "too many snapshots are held", out);
  newest_snapshot_ = std::max(newest_snapshot_, message.id);
  HeldSnapshot& snapshot =
      state_.snapshots.emplace_back(HeldSnapshot{.id = message.id, .clock = message.clock, .missing = owned_});
  for (const auto& slice : slices_) {
    if (slice != nullptr) slice->hold(snapshot, out);
  }
  beat(now, out);  // in bsp, the grant of the step that leads to it waits for this word
}

void ShardCore::on(TimeNs /*now*/, const Envelope& /*envelope*/, const protocol::SnapshotRelease& message,
                   Outbox& /*out*/) {
  released_snapshot_ = std::max(released_snapshot_, message.id);
  std::erase_if(state_.snapshots, [&](const HeldSnapshot& snapshot) {
    if (snapshot.id > message.id) return false;
    for (const auto& slice : slices_) {
      if (slice != nullptr) slice->release(snapshot.id);
    }
    return true;
  });
}

// Says which snapshots are whole: once when they are, and with every heartbeat until they are released.
void ShardCore::report_snapshots(bool again, Outbox& out) {
  for (HeldSnapshot& snapshot : state_.snapshots) {
    if (snapshot.missing > 0 || (snapshot.reported && !again)) continue;
    snapshot.reported = true;
    out.send(kSchedulerNode, protocol::SnapshotTaken{snapshot.id, snapshot.exact, counters()});
  }
}

}  // namespace rubato::server
