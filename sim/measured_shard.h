// A shard whose work on pushes is counted in a profile.
//
// Thread-safety: as a core's.
#pragma once

#include "server/shard_core.h"
#include "sim/profile.h"

namespace rubato::sim {

class MeasuredShard final : public protocol::Core {
 public:
  // Both outlive this.
  MeasuredShard(server::ShardCore& shard, Profile& profile) : shard_(shard), profile_(profile) {}

  [[nodiscard]] protocol::Identity identity() const override { return shard_.identity(); }
  void start(TimeNs now, protocol::Outbox& out) override { shard_.start(now, out); }
  void receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override {
    const bool is_push = std::holds_alternative<protocol::Push>(body);
    const Profile::Scope scope(is_push ? &profile_ : nullptr, Profile::Activity::kApplying);
    shard_.receive(now, envelope, std::move(body), out);
  }
  void wake(TimeNs now, protocol::Outbox& out) override { shard_.wake(now, out); }
  [[nodiscard]] TimeNs deadline() const override { return shard_.deadline(); }

 private:
  server::ShardCore& shard_;
  Profile& profile_;
};

}  // namespace rubato::sim
