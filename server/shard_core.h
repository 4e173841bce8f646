// One shard: the slices that one member of role server owns, and its part in the job, as a pure core.
//
// It comes and goes as every member (protocol/enrollment.h). Between Welcome and Ready it takes the manifest
// and the routing table, and makes its slices with their initial weights; then come pushes, pulls,
// memberships, seals and snapshots, in whatever order.
//
// Messages come from a network that may lose, repeat, delay and reorder them, and from peers that may be
// strangers: whatever makes no sense here is counted and dropped.
//
// Thread-safety: as every core. Several shards may run in as many threads; they share nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/job.h"
#include "protocol/core.h"
#include "protocol/enrollment.h"
#include "protocol/initial_weights.h"
#include "server/held_root.h"
#include "server/pool_plan.h"
#include "server/slice.h"
#include "server/version_table.h"

namespace rubato::server {

class ShardCore final : public protocol::Core {
 public:
  // `registration`: nonce, pid, host, address and job hash. The job is valid: its mode and optimizer are
  // known. `timing` is the job's. `memory_bytes` is what there is for slots, `memory` where they are to lie
  // (nothing: anywhere); what of it is held begins with a HeldRoot. `remains`, the newest first, is what earlier lives
  // of this shard have left: it goes on with that, in memory of its own, because others may still read there. `initial`
  // is what parameters begin with, if the job says so. `device` computes its updates, for nobody else; null: the CPU.
  ShardCore(NodeId self, const Job& job, protocol::Register registration, protocol::Timing timing,
            std::uint64_t memory_bytes, std::shared_ptr<Memory> memory = nullptr, std::vector<Remains> remains = {},
            protocol::InitialWeights initial = {}, std::unique_ptr<kernels::UpdateDevice> device = nullptr);

  // Slices refer to what their shard keeps for all of them.
  ShardCore(const ShardCore&) = delete;
  ShardCore& operator=(const ShardCore&) = delete;

  [[nodiscard]] protocol::Identity identity() const override { return enrollment_.identity(); }
  void start(TimeNs now, protocol::Outbox& out) override;
  void receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override;
  void wake(TimeNs now, protocol::Outbox& out) override;
  [[nodiscard]] TimeNs deadline() const override { return enrollment_.deadline(); }

  [[nodiscard]] protocol::ShardCounters counters() const;
  // Messages that made no sense here, and pushes that came before word of their worker or clock.
  [[nodiscard]] std::uint64_t refused() const { return state_.refused; }
  [[nodiscard]] std::uint64_t early() const { return state_.early; }

 private:
  void take(TimeNs now, const protocol::Envelope& envelope, const protocol::Body& body, protocol::Outbox& out);
  // The scheduler's messages.
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Welcome& welcome, protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Membership& message, protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Seal& seal, protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Snapshot& message, protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::SnapshotRelease& message,
          protocol::Outbox& out);
  void on(TimeNs now, const protocol::Envelope& envelope, const protocol::Commit& commit, protocol::Outbox& out);
  // Everybody's.
  void on(const protocol::Envelope& envelope, const protocol::Push& push, protocol::Outbox& out);
  void on(const protocol::Envelope& envelope, const protocol::Pull& pull, protocol::Outbox& out);

  [[nodiscard]] Status check_welcome(const protocol::Welcome& welcome) const;
  [[nodiscard]] Status make_slices(const protocol::Welcome& welcome, protocol::Outbox& out);
  using DeviceSlices = std::map<std::size_t, std::vector<std::unique_ptr<kernels::DeviceSlice>>>;  // by elements
  [[nodiscard]] Result<DeviceSlices> make_device_slices(const std::map<std::size_t, PoolPlan>& plans);
  [[nodiscard]] Status fill_slices(const protocol::RoutingTable& routing, const std::map<std::size_t, PoolPlan>& plans);
  [[nodiscard]] Result<std::optional<VersionTable::Reader>> find_remains(const VersionTable::Subject& subject) const;
  [[nodiscard]] Status check_memory(const std::map<std::size_t, PoolPlan>& plans, protocol::Outbox& out) const;
  [[nodiscard]] Slice* own_slice(SliceId id);
  void apply_commits(const protocol::Envelope& envelope, protocol::Outbox& out);
  void report_snapshots(bool again, protocol::Outbox& out);
  [[nodiscard]] protocol::Heartbeat heartbeat() const;

  const std::uint32_t rank_;
  const PoolPlanner planner_;
  const std::uint64_t memory_bytes_;
  const std::shared_ptr<Memory> memory_;
  const std::string job_hash_;
  const bool pretrained_;
  std::vector<Remains> remains_;
  protocol::InitialWeights initial_;  // until slices have theirs
  protocol::Enrollment enrollment_;
  ShardState state_;

  std::unique_ptr<kernels::UpdateDevice> device_;  // outlives the slices
  VersionTable versions_;
  std::vector<std::unique_ptr<Slice>> slices_;  // by slice id; those of other shards are null
  std::size_t owned_ = 0;
  std::uint64_t committed_ = 0;                        // commits applied, by every slice
  std::map<std::uint64_t, protocol::Commit> commits_;  // that came before their turn
  std::uint64_t newest_snapshot_ = 0, released_snapshot_ = 0;
};

}  // namespace rubato::server
