// What a core did. Written as JSON lines for the checker, where a job asks for it (`debug.trace = true`):
// enough to prove the promises of docs/protocol.md from outside, with no code in common with the cores
// (tests/checker). Kept in a compact form for a replay (`train.record = true`; protocol/record.h).
// `order` of lines of one member is the order in which it did them.
//
//   member     event     fields
//   scheduler  active    worker clock life       from now on counted, starting at clock; `life`: its incarnation
//   scheduler  inactive  worker clock            finished or dead, at that clock
//   scheduler  tick      worker clock            step `clock` settled
//   scheduler  grant     worker clock bound min epoch first count rule_epoch   bound -1: none
//   scheduler  epoch     number samples          with leases: all samples of epoch `number` are settled
//   scheduler  rules     rule_epoch clock bound least rate   from that clock on; `least`: the low end of a moving bound
//   scheduler  commit    number floor            an update, of the contributors that follow
//   scheduler  contributor  number worker clock
//   worker     placed    slices placement        it knows the slices, which have this hash
//   worker     begin     worker clock level index epoch first count leaves rate rule_epoch   a node of a step
//   worker     use       worker clock bound slice version floor
//   worker     push      worker clock slice level index samples rule_epoch local_steps   (first sending only)
//   shard      placed    slices placement
//   shard      active    worker clock life       as the scheduler's, when the shard learned it
//   shard      inactive  worker
//   shard      sealed    worker life clock count slices   it answers a Seal: the highest clock settled of that worker
//                                                (-1: none), at how many of its slices
//   shard      settle    worker clock slice level index fate version age samples rule_epoch
//   shard      apply     clock slice version     an aggregate of that clock, bsp; a commit, `clock` the floor then
//   shard      contribution  number worker clock slice age fate samples   to the commit applied next
//   shard      drop      worker clock slice      accepted, and too late for any commit
//   shard      repeat    worker clock slice level index
//   shard      serve     worker clock slice version floor snapshot wanted   `wanted`: the floor asked for
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/time.h"
#include "protocol/messages.h"

namespace rubato::protocol {

enum class TraceKind : std::uint8_t {
  kActive,
  kInactive,
  kTick,
  kGrant,
  kUse,
  kPush,
  kSettle,
  kApply,
  kRepeat,
  kServe,
  kPlaced,
  kBegin,
  kCommit,
  kContributor,
  kContribution,
  kDrop,
  kEpoch,
  kRules,
  kSealed
};

struct TraceEvent {
  TraceKind kind = TraceKind::kTick;
  std::uint32_t worker = 0;
  Clock clock = 0;
  SliceId slice = 0;  // of `placed` and `sealed`: how many there are
  std::uint32_t level = 0, index = 0, samples = 0;
  std::int64_t bound = 0, min = 0, floor = 0, wanted = 0;
  std::uint64_t version = 0, age = 0, snapshot = 0;
  std::uint32_t fate = 0;
  std::uint32_t gradient_hash = 0, weights_hash = 0;  // see Outbox::hash
  std::uint64_t placement = 0;
  BatchRange batch{};
  std::uint32_t leaves = 0, rule_epoch = 0;
  double rate = 0.0;
  std::uint64_t number = 0;       // of a commit, an epoch
  Incarnation life = 0;           // of a worker
  std::uint32_t count = 0;        // of `sealed`
  std::uint32_t local_steps = 0;  // of a push: it is a delta
};

// One JSON object, without line end: {"t":..., "node":"server-0", "event":"settle", ...}.
[[nodiscard]] std::string trace_line(TimeNs now, NodeId node, const TraceEvent& event);

}  // namespace rubato::protocol
