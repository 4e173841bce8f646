// What the slices of one shard share: the job's rules, the workers, the snapshots asked for, counters.
//
// Thread-safety: belongs to one shard.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "kernels/rule_config.h"
#include "protocol/core.h"
#include "server/aggregate.h"
#include "server/members.h"
#include "server/update.h"

namespace rubato::server {

// Held at once. One more is not taken in, and the scheduler asks again.
inline constexpr std::size_t kSnapshotsMax = 8;

// A fixed state of all slices, from the moment the scheduler asks for it until it releases it.
struct HeldSnapshot {
  std::uint64_t id = 0;
  Clock clock = 0;
  std::size_t missing = 0;  // slices that have not reached the clock
  bool exact = true;
  bool reported = false;  // SnapshotTaken was sent
};

struct ShardState {
  kernels::RuleConfig rule;
  Mode::Apply apply = Mode::Apply::kAggregate;
  std::uint32_t leaves = 1;
  PushDivisor divisor;           // on arrival
  std::uint32_t workers = 0;     // that the job has: their ranks are below
  std::size_t accepted_max = 0;  // pushes of a slice that wait for a commit: more than workers who keep to it have
  FirstValues first;
  protocol::Manifest manifest;

  Members members;
  std::vector<HeldSnapshot> snapshots;
  SumBuffers sums;
  protocol::ShardCounters counters;
  std::uint64_t early = 0;    // pushes ahead of what the shard knows: dropped, and sent again by the worker
  std::uint64_t refused = 0;  // messages that make no sense here
  // Of the device that computes updates. What it was to make is not there, so nothing of it was said or published, and
  // the shard ends.
  std::optional<Error> broken;
  void fail(const Error& error) { broken = error; }

  [[nodiscard]] HeldSnapshot* find_snapshot(std::uint64_t id);

  // Drops a message: counted, and said once for each peer.
  void refuse(const protocol::Envelope& envelope, std::string_view why, protocol::Outbox& out);

 private:
  std::set<NodeId> refused_peers_;
};

}  // namespace rubato::server
