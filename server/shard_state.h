// What the slices of one shard share: the job's rules, the workers, the snapshots asked for, counters.
//
// Thread-safety: belongs to one shard.
#pragma once

#include <cstdint>
#include <deque>
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

// Alarms of which the scheduler has not said that it knows them. While there are so many, others are only counted. So
// many are said again at a time: the scheduler takes them in their order.
inline constexpr std::size_t kAlarmsMax = 1 << 14, kAlarmsAgain = 1024;

// A fixed state of all slices, from the moment the scheduler asks for it until it releases it.
struct HeldSnapshot {
  std::uint64_t id = 0;
  Clock clock = 0;
  std::size_t missing = 0;  // slices that have not reached the clock
  bool exact = true;
  // Alarms said by the time it was whole: the scheduler knows them before it hears of it.
  std::optional<std::uint64_t> alarms = {};
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

  // Said now, and kept to be said again until the scheduler knows it.
  void alarm(protocol::Alarm alarm, protocol::Outbox& out);
  // The scheduler has the first so many.
  void alarms_arrived(std::uint64_t count);
  void say_alarms_again(protocol::Outbox& out) const;
  [[nodiscard]] std::uint64_t alarms_said() const { return alarms_said_; }
  [[nodiscard]] std::uint64_t alarms_known() const { return alarms_said_ - alarms_.size(); }

  // Drops a message: counted, and said once for each peer.
  void refuse(const protocol::Envelope& envelope, std::string_view why, protocol::Outbox& out);

 private:
  std::uint64_t alarms_said_ = 0;
  std::deque<protocol::Alarm> alarms_;  // not known, in the order of their numbers
  std::set<NodeId> refused_peers_;
};

}  // namespace rubato::server
