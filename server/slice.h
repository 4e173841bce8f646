// One slice of a shard: its current slot, what is settled of each worker, the open aggregate, the pulls
// that wait, the snapshots that hold it.
//
// Settling (server/settle.cc). A push that may be settled fixes its fate, and, where it is applied, makes
// the next version; its acknowledgement goes out at once and a repeat gets the same one again.
//   on arrival  each push is one update; a worker's clocks come one after the other, and its mark
//               remembers the last
//   aggregate   the pushes of one clock are summed along the leaf tree; when the root is complete they
//               are one update, and all are acknowledged. What a dead worker has pushed stays: the
//               scheduler hands its leaves to others, and whatever comes twice is a repeat
//   committed   (server/commit.cc) a push is kept; a commit of the scheduler's names those that are the
//               next update, and says the floor from then on
//
// Reading (server/slice.cc). The floor is the least clock that is not settled for every active worker. It
// decides which pulls are answered, and when a snapshot keeps the current slot, or a copy of the moving average
// of its weights, if the job evaluates that. Answers do not copy: they pin the slot. Where the rule compensates for
// delays, what a worker was answered is kept for its push (server/reads.h).
//
// Updates are computed where the slots lie, or on a device that has a copy of the current one. Slots are the same with
// either: whole, and published as they were made. A device that fails leaves the slice as it was, with its push not
// settled and not answered, and the shard ends (ShardState::broken).
//
// Thread-safety: belongs to one shard.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/reads.h"
#include "server/shard_state.h"
#include "server/slot.h"
#include "server/update.h"
#include "server/version_table.h"

namespace rubato::server {

// Pulls that wait on one slice; workers and evaluators have one each.
inline constexpr std::size_t kParkedMax = 8192;

class Slice {
 public:
  // `cell` is this slice's, and `state` outlives it. It starts with what an earlier life of the shard has left of it,
  // or with the weights that follow from the job's seed.
  Slice(SliceId id, protocol::SliceSpec spec, std::shared_ptr<SlotPool> pool, VersionCell cell, ShardState& state,
        const VersionTable::Inheritance* inheritance = nullptr);

  // From now on updates are computed there. Before the first one. Errors: kDevice.
  [[nodiscard]] Status move_to(std::unique_ptr<kernels::DeviceSlice> device);

  // The sender is admitted.
  void push(const protocol::Envelope& envelope, const protocol::Push& push, protocol::Outbox& out);
  // The sender is not fenced.
  void pull(const protocol::Envelope& envelope, const protocol::Pull& pull, protocol::Outbox& out);

  // Whether all pushes that a commit names were accepted here. / The next update: they were.
  [[nodiscard]] bool has_accepted(const protocol::Commit& commit) const;
  void apply(const protocol::Commit& commit, protocol::Outbox& out);

  // The active workers are others than before: the floor may have moved.
  void membership_changed(protocol::Outbox& out);

  // `snapshot` was just entered into the shard's list. / It was just taken from it.
  void hold(HeldSnapshot& snapshot, protocol::Outbox& out);
  void release(std::uint64_t snapshot);

  [[nodiscard]] Version version() const { return cell_.version().version; }
  [[nodiscard]] Clock floor() const { return floor_with(); }
  [[nodiscard]] std::size_t elements() const { return current_->view().weights.size(); }

  // The highest clock settled of this worker, or kNoClock. In an aggregate: of everybody.
  [[nodiscard]] Clock settled_of(std::uint32_t worker) const;

 private:
  struct Pinned {
    std::uint64_t id = 0;
    Read read;
  };
  struct Parked {
    protocol::Envelope envelope;
    protocol::Pull pull;
  };
  // What a trace tells of a push beside its acknowledgement.
  struct PushFacts {
    std::uint32_t worker = 0, samples = 0, rule_epoch = 0, gradient_hash = 0;
  };
  // One push of the open clock: who waits for an answer, and whether these leaves were added for it (they
  // were not if another worker's had come before).
  struct Pushed {
    protocol::Envelope envelope;
    protocol::LeafNode node;
    Version echoed = 0;
    std::uint32_t samples = 0;
    std::uint32_t gradient_hash = 0;
    bool added = false;
  };
  // The aggregate of the lowest clock that is not settled.
  struct OpenClock {
    explicit OpenClock(std::uint32_t leaves) : sum(leaves) {}
    Aggregate sum;
    std::uint64_t samples = 0;
    double rate = 0.0;  // of all pushes of the clock, as is the rule epoch
    std::uint32_t rule_epoch = 0;
    bool nonfinite = false;
    std::vector<Pushed> pushes;
  };

  // Committed: a push that is settled and in no update yet.
  struct Accepted {
    protocol::Fate fate = protocol::Fate::kAccepted;
    std::uint32_t samples = 0;
    Version echoed = 0;
    Payload gradient;
    SlotRef read;  // compensated: the weights that it was computed on
  };

  // ---- reading
  // As if this clock of the worker were settled too.
  [[nodiscard]] Clock floor_with(std::optional<std::uint32_t> worker = {}, Clock clock = kNoClock) const;
  [[nodiscard]] bool reached(Clock floor) const;
  void serve_waiting(protocol::Outbox& out);
  void park(const protocol::Envelope& envelope, const protocol::Pull& pull, protocol::Outbox& out);
  void serve(const protocol::Envelope& envelope, const protocol::Pull& pull, protocol::Outbox& out);
  void answer(const protocol::Envelope& envelope, const protocol::Pull& pull, const Read& source,
              protocol::Outbox& out) const {
    answer(envelope, pull, source.slot, source.version, source.floor, out);
  }
  void answer(const protocol::Envelope& envelope, const protocol::Pull& pull, const SlotRef& slot, Version version,
              std::int64_t floor, protocol::Outbox& out) const;
  [[nodiscard]] const Pinned* find_pinned(std::uint64_t snapshot) const;
  void pin(HeldSnapshot& snapshot);
  [[nodiscard]] SlotRef evaluated_slot();

  // ---- settling
  // Of a worker without samples, or for what is frozen: settled, and no update.
  static bool is_empty(const protocol::Push& push) { return push.samples == 0 || push.gradient.empty(); }
  void push_on_arrival(const protocol::Envelope& envelope, const protocol::Push& push, protocol::Outbox& out);
  [[nodiscard]] Result<SlotRef> updated_by(std::uint32_t worker, const protocol::Push& push);
  void push_aggregate(const protocol::Envelope& envelope, const protocol::Push& push, protocol::Outbox& out);
  void contribute(const protocol::Envelope& envelope, const protocol::Push& push, protocol::Outbox& out);
  void settle_clock(protocol::Outbox& out);
  void name_spoilers(Clock clock, protocol::Outbox& out);
  void await_answer(const protocol::Envelope& envelope, const protocol::Push& push, bool added,
                    std::uint32_t gradient_hash);
  [[nodiscard]] protocol::PushAck ack_of_clock(protocol::LeafNode node, Version echoed) const;
  void push_committed(const protocol::Envelope& envelope, const protocol::Push& push, protocol::Outbox& out);
  [[nodiscard]] Result<SlotRef> updated_by(const protocol::Commit& commit, const std::vector<Accepted>& parts,
                                           protocol::Outbox& out);
  void drop_late(protocol::Outbox& out);
  [[nodiscard]] std::string complaint(std::uint32_t worker, const protocol::Push& push) const;
  [[nodiscard]] Result<SlotRef> updated(std::span<const Contribution> contributions, double rate);
  [[nodiscard]] VersionRecord record_of(const SlotRef& next) const;
  void made_current(SlotRef next);
  // `element`: as in protocol::Alarm.
  void alarm(std::uint32_t worker, Clock clock, std::uint64_t element, protocol::Outbox& out);
  [[nodiscard]] static std::uint64_t spoiled_at(const Payload& gradient);
  void answer_repeat(const protocol::Envelope& envelope, const protocol::Push& push, const Mark& mark,
                     protocol::Outbox& out);
  void count_repeat(const protocol::Envelope& envelope, const protocol::Push& push, protocol::Outbox& out);
  void count_settled(const PushFacts& push, const protocol::PushAck& ack, protocol::Outbox& out);
  void trace_apply(Clock clock, protocol::Fate fate, double rate, protocol::Outbox& out) const;
  [[nodiscard]] std::uint32_t weights_hash(const protocol::Outbox& out) const;

  SliceId id_;
  protocol::SliceSpec spec_;
  std::shared_ptr<SlotPool> pool_;
  ShardState& state_;

  SlotRef current_;
  std::unique_ptr<kernels::DeviceSlice> device_;  // has a copy of the current one; null: updates are the CPU's
  VersionCell cell_;                              // what else is true of it
  OpenClock open_;
  std::map<protocol::Contributor, Accepted> accepted_;
  Reads reads_;
  std::vector<Pinned> snapshots_;
  std::vector<Parked> parked_;
};

}  // namespace rubato::server
