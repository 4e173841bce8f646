#include "server/shard_core.h"

#include <algorithm>

#include "base/counted.h"
#include "base/out_of_memory.h"
#include "base/result.h"

namespace rubato::server {

using protocol::ActiveWorker;
using protocol::Envelope;
using protocol::Outbox;

namespace {

// Clocks count steps: beyond this one is a lie, and adding to it must not overflow.
constexpr Clock kClockMax = Clock{1} << 62;

Error malformed(std::string text) { return {Cause::kMalformed, std::move(text)}; }

Status check_active(const std::vector<ActiveWorker>& active, std::uint32_t workers) {
  for (const ActiveWorker& worker : active) {
    if (worker.rank >= workers) return malformed(fmt::format("worker-{} of {}", worker.rank, workers));
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
    if (!same_rule(parameter, first))
      return malformed(
          fmt::format("a slice of {} and {}, which are under different rules", first.name, parameter.name));
  }
  return {};
}

// While nobody reads.
std::uint64_t bytes_at_first(const std::map<std::size_t, PoolPlan>& plans) {
  std::uint64_t bytes = 0;
  for (const auto& [elements, plan] : plans) bytes += plan.bounds.slots_at_first() * slot_bytes(plan.shape);
  return bytes;
}

}  // namespace

ShardCore::ShardCore(NodeId self, const Job& job, protocol::Register registration, protocol::Timing timing,
                     std::uint64_t memory_bytes, std::shared_ptr<Memory> memory, std::vector<Remains> remains,
                     protocol::InitialWeights initial, std::unique_ptr<kernels::UpdateDevice> device)
    : rank_(self.rank),
      planner_(job),
      memory_bytes_(memory_bytes),
      memory_(memory != nullptr ? std::move(memory) : std::make_shared<PrivateMemory>()),
      job_hash_(registration.job_hash),
      pretrained_(!job.model.pretrained.empty()),
      remains_(std::move(remains)),
      initial_(std::move(initial)),
      enrollment_(self, std::move(registration), timing),
      device_(std::move(device)) {
  state_.rule = rule_of(job);
  state_.apply = parse_mode(job.consistency.mode).value().apply();
  state_.accepted_max = planner_.accepted_max();
  state_.workers = static_cast<std::uint32_t>(job.cluster.workers);
  state_.leaves = static_cast<std::uint32_t>(job.train.micro_batches);
  state_.divisor = PushDivisor(job);
  state_.first = {job.train.seed, initial_.values()};
}

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

void ShardCore::start(TimeNs now, Outbox& out) { enrollment_.start(now, out); }

void ShardCore::wake(TimeNs now, Outbox& out) {
  if (now < deadline()) return;
  enrollment_.wake(now, heartbeat(), out);
  if (enrollment_.over()) return;
  state_.say_alarms_again(out);
  report_snapshots(true, out);
}

protocol::Heartbeat ShardCore::heartbeat() const {
  return {.waiting = {},
          .generation = identity().generation,
          .snapshot = newest_snapshot_,
          .refused_frames = state_.refused,
          .shard = counters()};
}

// ---- messages ---------------------------------------------------------------------------------------

void ShardCore::receive(TimeNs now, const Envelope& envelope, protocol::Body body, Outbox& out) {
  if (enrollment_.receive(now, envelope, body, out)) {
    const auto* beat = std::get_if<protocol::Beat>(&body);
    if (beat == nullptr || enrollment_.over()) return;
    state_.alarms_arrived(beat->alarms);
    return report_snapshots(false, out);
  }
  take(now, envelope, body, out);
  if (state_.broken) enrollment_.leave(*state_.broken, out);
}

void ShardCore::take(TimeNs now, const Envelope& envelope, const protocol::Body& body, Outbox& out) {
  const bool data = std::holds_alternative<protocol::Push>(body) || std::holds_alternative<protocol::Pull>(body);
  if (data && !enrollment_.joined() && !remains_.empty()) return;  // from who knew it before: it will be said again
  if (const auto* push = std::get_if<protocol::Push>(&body)) return on(envelope, *push, out);
  if (const auto* pull = std::get_if<protocol::Pull>(&body)) return on(envelope, *pull, out);
  if (envelope.from != kSchedulerNode) return state_.refuse(envelope, "only the scheduler may say that", out);
  // What was sent to an earlier life, or overtook the Welcome, will be said again.
  if (!enrollment_.joined() && !std::holds_alternative<protocol::Welcome>(body)) return;
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
  if (const Status status = check_welcome(welcome); !status.ok())
    return state_.refuse(envelope, status.error().message, out);
  if (!enrollment_.welcomed(welcome)) return;
  state_.manifest = welcome.manifest;
  if (const Status status = make_slices(welcome, out); !status.ok()) return enrollment_.leave(status.error(), out);
  out.trace({.kind = protocol::TraceKind::kPlaced,
             .slice = static_cast<SliceId>(slices_.size()),
             .placement = protocol::placement_hash(welcome.routing.slices)});
  state_.members.set_active(welcome.active, out);
  enrollment_.ready(now, out);
}

Status ShardCore::check_welcome(const protocol::Welcome& welcome) const {
  RUBATO_TRY(protocol::check_manifest(welcome.manifest));
  for (const protocol::SliceSpec& slice : welcome.routing.slices) RUBATO_TRY(check_slice(slice, welcome.manifest));
  return check_active(welcome.active, state_.workers);
}

// Before anything of it is made: nobody should find out from a machine that swaps, nor wait for slices to be filled
// until there is no more. With delay compensation, which says what it takes: of each slice the newest version, with its
// state, the one being written, and the weights that each worker reads.
Status ShardCore::check_memory(const std::map<std::size_t, PoolPlan>& plans, Outbox& out) const {
  if (!state_.rule.compensates()) {
    const std::uint64_t bytes = bytes_at_first(plans);
    if (bytes <= memory_bytes_) return {};
    return out_of_memory(bytes, "its slices", "use more servers, on more machines");
  }
  const std::size_t read = state_.workers;
  std::uint64_t bytes = 0;
  for (const auto& [elements, plan] : plans)
    bytes += plan.bounds.slices * (2 * slot_bytes(plan.shape) + read * weights_bytes(plan.shape));
  const std::string needed = fmt::format("{} for {} versions of each of its slices", mebibytes(bytes), 2 + read);
  if (bytes > memory_bytes_)
    return Error{Cause::kMemory, fmt::format("needs {}, and has {}: use more servers, on more machines, or "
                                             "optimizer.compensation.name = \"none\"",
                                             needed, mebibytes(memory_bytes_))};
  out.note(protocol::Level::kInfo, "delay compensation: " + needed);
  return {};
}

Status ShardCore::make_slices(const protocol::Welcome& welcome, Outbox& out) {
  const std::vector<protocol::SliceSpec>& slices = welcome.routing.slices;
  const std::map<std::size_t, PoolPlan> plans = planner_.pools(rank_, slices);
  RUBATO_TRY(check_memory(plans, out));
  RUBATO_TRY(check_given(pretrained_, state_.manifest, initial_.values()));
  slices_.resize(slices.size());
  owned_ = static_cast<std::size_t>(std::ranges::count(slices, rank_, &protocol::SliceSpec::shard));
  RUBATO_TRY(fill_slices(welcome.routing, plans));
  state_.first.given = {};
  initial_ = {};
  return {};
}

// All memory of the device that the shard will ever take: who else is on the GPU can take no more of it later.
Result<ShardCore::DeviceSlices> ShardCore::make_device_slices(const std::map<std::size_t, PoolPlan>& plans) {
  DeviceSlices all;
  if (device_ == nullptr) return all;
  std::size_t bytes = 0, longest = 0;
  for (const auto& [elements, plan] : plans) {
    bytes += kernels::device_bytes(plan.shape, plan.bounds.slices);
    longest = elements;
  }
  bytes += kernels::update_bytes(longest);
  // The longest first: what one update needs is made once.
  for (auto plan = plans.rbegin(); plan != plans.rend(); ++plan) {
    auto slices = device_->make_slices(plan->second.shape, plan->second.bounds.slices);
    if (!slices.ok())
      return slices.error().in(
          fmt::format("needs {} of {} for its slices (if it has no memory for them: use more servers, each on a "
                      "GPU of its own, or server.device = \"cpu\")",
                      mebibytes(bytes), device_->description()));
    all[plan->first] = std::move(*slices);
  }
  return all;
}

// Each with what the earlier life has left of it, if there was one. To begin anew would be to lose all updates.
Status ShardCore::fill_slices(const protocol::RoutingTable& routing, const std::map<std::size_t, PoolPlan>& plans) {
  const VersionTable::Subject subject{job_hash_, protocol::placement_hash(routing.slices), rank_,
                                      static_cast<std::uint32_t>(owned_), planner_.marks()};
  std::optional<VersionTable::Reader> left;
  if (identity().incarnation > 1) {
    RUBATO_ASSIGN(left, find_remains(subject));
    if (!left) return Error{Cause::kPeerLost, "has nothing of what it had before"};
  }
  std::map<std::size_t, std::shared_ptr<SlotPool>> pools;
  for (const auto& [elements, plan] : plans) {
    auto pool = SlotPool::create(plan.shape, plan.bounds, memory_);
    if (!pool.ok()) return pool.error().in(fmt::format("takes {} for its slices", mebibytes(bytes_at_first(plans))));
    pools[elements] = std::move(*pool);
  }
  RUBATO_ASSIGN(DeviceSlices device_slices, make_device_slices(plans));
  RUBATO_ASSIGN(versions_, VersionTable::create(subject, *memory_));
  std::size_t position = 0;
  for (SliceId id = 0; id < slices_.size(); ++id) {
    const protocol::SliceSpec& spec = routing.slices[id];
    if (spec.shard != rank_) continue;
    const std::size_t elements = spec.elements();
    const kernels::SliceShape& shape = plans.at(elements).shape;
    std::optional<VersionTable::Inheritance> inheritance;
    if (left) {
      RUBATO_ASSIGN(inheritance, left->read(position, id, elements, weights_bytes(shape) / sizeof(float),
                                            state_bytes(shape) / sizeof(float)));
    }
    slices_[id] = std::make_unique<Slice>(id, spec, pools.at(elements), versions_.enter(position, id, elements), state_,
                                          inheritance ? &*inheritance : nullptr);
    if (const auto found = device_slices.find(elements); found != device_slices.end()) {
      RUBATO_TRY(slices_[id]->move_to(std::move(found->second.back())));
      found->second.pop_back();
    }
    ++position;
  }
  remains_.clear();
  const std::uint64_t table = place_of(versions_.block(), memory_->held());
  if (table != 0) HeldRoot::of(memory_->held()).enter(rank_, table);
  // The next life would go on from the one before this, and what this one had acknowledged would be lost.
  if (table == 0 && left)
    return Error{Cause::kMemory, "goes on from an earlier life, and has no memory that outlives it in its turn"};
  return {};
}

// Nothing, where no life has come so far as to have a table.
Result<std::optional<VersionTable::Reader>> ShardCore::find_remains(const VersionTable::Subject& subject) const {
  for (const Remains& remains : remains_) {
    RUBATO_ASSIGN(const std::uint64_t table, HeldRoot::find(remains.bytes, rank_));
    if (table == 0) continue;
    RUBATO_ASSIGN(const VersionTable::Reader reader, VersionTable::Reader::open(subject, remains.bytes, table));
    return std::optional(reader);
  }
  return std::optional<VersionTable::Reader>();
}

Slice* ShardCore::own_slice(SliceId id) { return id < slices_.size() ? slices_[id].get() : nullptr; }

void ShardCore::on(TimeNs /*now*/, const Envelope& envelope, const protocol::Membership& message, Outbox& out) {
  if (message.generation <= identity().generation) return;
  if (const Status status = check_active(message.active, state_.workers); !status.ok())
    return state_.refuse(envelope, status.error().message, out);
  enrollment_.set_generation(message.generation);
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
  out.trace({.kind = protocol::TraceKind::kSealed,
             .worker = seal.rank,
             .clock = sealed.highest,
             .slice = sealed.slices,
             .life = seal.incarnation,
             .count = sealed.settled});
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
  // One of which this life of the shard has not heard is not held any more, and will be.
  if (pull.snapshot > newest_snapshot_ && identity().incarnation > 1) return;
  slice->pull(envelope, pull, out);
}

// ---- commits ----------------------------------------------------------------------------------------

void ShardCore::on(TimeNs /*now*/, const Envelope& envelope, const protocol::Commit& commit, Outbox& out) {
  if (state_.apply != Mode::Apply::kCommitted) return state_.refuse(envelope, "a commit in a mode that has none", out);
  if (commit.number > committed_ + protocol::Commit::kAheadMax)
    return state_.refuse(envelope, fmt::format("commit {}, {} were applied", commit.number, committed_), out);
  if (commit.number > committed_) commits_.insert_or_assign(commit.number, commit);
  apply_commits(envelope, out);
  if (state_.broken) return;
  out.send(kSchedulerNode, protocol::Committed{committed_});
  report_snapshots(false, out);
}

// All that is there in order. The scheduler names pushes that every shard has acknowledged, so they are here;
// a commit that says otherwise is none, and is not kept.
void ShardCore::apply_commits(const Envelope& envelope, Outbox& out) {
  for (auto next = commits_.find(committed_ + 1); next != commits_.end(); next = commits_.find(committed_ + 1)) {
    const protocol::Commit commit = std::move(next->second);
    commits_.erase(next);
    const bool known = std::ranges::all_of(
        slices_, [&](const auto& slice) { return slice == nullptr || slice->has_accepted(commit); });
    if (!known)
      return state_.refuse(envelope, fmt::format("commit {} of pushes that are not here", commit.number), out);
    ++committed_;
    for (const auto& slice : slices_) {
      if (slice != nullptr) slice->apply(commit, out);
      if (state_.broken) return;
    }
  }
}

// ---- snapshots --------------------------------------------------------------------------------------

void ShardCore::on(TimeNs /*now*/, const Envelope& envelope, const protocol::Snapshot& message, Outbox& out) {
  // Said again, or late. Where it is held whole, every heartbeat says so.
  if (message.id <= released_snapshot_ || state_.find_snapshot(message.id) != nullptr) return;
  if (state_.snapshots.size() >= kSnapshotsMax) return state_.refuse(envelope, "too many snapshots are held", out);
  newest_snapshot_ = std::max(newest_snapshot_, message.id);
  HeldSnapshot& snapshot =
      state_.snapshots.emplace_back(HeldSnapshot{.id = message.id, .clock = message.clock, .missing = owned_});
  for (const auto& slice : slices_) {
    if (slice != nullptr) slice->hold(snapshot, out);
  }
  out.send(kSchedulerNode, heartbeat());  // in bsp, the grant of the step that leads to it waits for this word
  report_snapshots(false, out);
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

// Says which snapshots are whole: once when they are, and with every heartbeat until they are released. Not before the
// scheduler knows what was not finite on the way to them: with the last one the job may end.
void ShardCore::report_snapshots(bool again, Outbox& out) {
  for (HeldSnapshot& snapshot : state_.snapshots) {
    if (snapshot.missing > 0 || (snapshot.reported && !again)) continue;
    if (!snapshot.alarms) snapshot.alarms = state_.alarms_said();
    if (state_.alarms_known() < *snapshot.alarms) continue;
    snapshot.reported = true;
    out.send(kSchedulerNode, protocol::SnapshotTaken{snapshot.id, snapshot.exact, counters()});
  }
}

}  // namespace rubato::server
