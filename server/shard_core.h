// One shard: the slices that one member of role server owns, and its part in the job, as a pure core.
//
// Its life: Register until Welcome; take the manifest and the routing table, make the slices and their
// initial weights; Ready; then pushes, pulls, memberships, seals and snapshots in whatever order they
// come, with a Heartbeat several times a second, until Finish. It ends by itself, with a clear text, where
// it is not welcomed in time or the scheduler falls silent.
//
// Messages come from a network that may lose, repeat, delay and reorder them, and from peers that may be
// strangers: whatever makes no sense here is counted and dropped.
//
// Thread-safety: as every core. Several shards may run in as many threads; they share nothing.
#pragma once

#include <memory>
#include <vector>

#include "base/job.h"
#include "protocol/core.h"
#include "server/slice.h"

namespace rubato::server {

class ShardCore final : public protocol::Core {
 public:
  // `registration`: nonce, pid, host, address and job hash. The job is valid: its mode and optimizer are
  // known. `timing` is the job's.
  ShardCore(NodeId self, const Job& job, protocol::Register registration, protocol::Timing timing);

  // Slices refer to what their shard keeps for all of them.
  ShardCore(const ShardCore&) = delete;
  ShardCore& operator=(const ShardCore&) = delete;

  [[nodiscard]] protocol::Identity identity() const override;
  void start(TimeNs now, protocol::Outbox& out) override;
  void receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override;
  void wake(TimeNs now, protocol::Outbox& out) override;
  [[nodiscard]] TimeNs deadline() const override;

  [[nodiscard]] protocol::ShardCounters counters() const;
  // Messages that made no sense here, and pushes that came before word of their worker or clock.
  [[nodiscard]] std::uint64_t refused() const { return state_.refused; }
  [[nodiscard]] std::uint64_t early() const { return state_.early; }

 private:
  enum class Phase : std::uint8_t { kJoining, kServing, kEnded };

  void from_scheduler(TimeNs now, const protocol::Envelope& envelope, const protocol::Body& body,
                      protocol::Outbox& out);
  // The scheduler's messages.
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Welcome& welcome, protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Membership& message, protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Seal& seal, protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Snapshot& message, protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::SnapshotRelease& message,
          protocol::Outbox& out);
  // Everybody's.
  void on(const protocol::Envelope& envelope, const protocol::Push& push, protocol::Outbox& out);
  void on(const protocol::Envelope& envelope, const protocol::Pull& pull, protocol::Outbox& out);

  [[nodiscard]] Status check_welcome(const protocol::Welcome& welcome) const;
  [[nodiscard]] Status make_slices(const protocol::Welcome& welcome);
  [[nodiscard]] Slice* own_slice(SliceId id);
  void report_snapshots(bool again, protocol::Outbox& out);
  void beat(TimeNs now, protocol::Outbox& out);
  void end(int exit_code, std::string text, protocol::Outbox& out);

  NodeId self_;
  protocol::Register registration_;
  protocol::Timing timing_;
  std::size_t readers_ = 0;  // as many as the job has, for the bound on slots
  ShardState state_;

  Phase phase_ = Phase::kJoining;
  Incarnation incarnation_ = 0;
  std::uint32_t generation_ = 0, route_ = 0;
  std::vector<std::unique_ptr<Slice>> slices_;  // by slice id; those of other shards are null
  std::size_t owned_ = 0;
  bool ready_known_ = false;
  std::uint64_t newest_snapshot_ = 0, released_snapshot_ = 0;
  TimeNs next_send_ = 0;  // of Register, then of Heartbeat
  TimeNs give_up_ = kNever;
};

}  // namespace rubato::server
