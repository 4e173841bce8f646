// Every message of Rubato, as the cores see it. The way of a step:
//
//   scheduler --Grant--> worker --Pull--> shard --Weights--> worker   (forward, backward)
//   worker --Push, one a slice--> shard --PushAck--> worker --Tick--> scheduler
//
// Data messages live in the header (plus a payload); control messages are coded by their `fields`.
// All of them are idempotent: receivers may see any of them again, late, or in another order.
// The rules that give them meaning are in docs/protocol.md.
//
// Thread-safety: plain values.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/job.h"
#include "base/small_vector.h"
#include "protocol/header.h"
#include "protocol/leaf_tree.h"
#include "protocol/manifest.h"

namespace rubato {

// Whether an enumeration that came over the wire is one of ours (protocol/wire.h).
[[nodiscard]] constexpr bool known(InitializerKind kind) { return kind <= InitializerKind::kNormal; }
[[nodiscard]] constexpr bool known(Cause cause) {
  return (cause >= Cause::kInternal && cause <= Cause::kEvicted) || cause == Cause::kMemory ||
         cause == Cause::kInterrupted;
}

}  // namespace rubato

namespace rubato::protocol {

// ---- data ------------------------------------------------------------------------------------------

// A worker's gradient for one slice: the *sum* over `samples` samples, for the leaves of `node`. Or a delta:
// the weights pulled minus those after `local_steps` steps over so many samples. On arrival there is one leaf,
// the root (0, 0). No payload: the worker had no samples, or the slice is frozen.
struct Push {
  SliceId slice = 0;
  Clock clock = 0;
  LeafNode node;
  std::uint32_t samples = 0;
  Version version = 0;  // of the weights that the gradient was computed on
  std::uint32_t rule_epoch = 0;
  double rate = 0.0;
  Payload gradient;
  std::uint32_t local_steps = 0;  // of a delta; 0: it is a gradient
  bool exact = false;             // goes as float32, whatever the job's gradients go as; not itself on the wire
};

// Sent once the push is settled. A repeat of the push gets the same answer again.
struct PushAck {
  SliceId slice = 0;
  Clock clock = 0;
  LeafNode node;
  Fate fate = Fate::kNone;
  Version version = 0;    // after the push was applied; none where it was accepted or dropped
  std::uint64_t age = 0;  // version at apply minus version echoed
  std::int64_t floor = 0;
};

// Asks for a slice's weights with at least this floor; the shard answers when it has it.
// `snapshot` other than 0 asks for that fixed snapshot.
struct Pull {
  SliceId slice = 0;
  Clock clock = 0;  // of the step that wants them
  std::int64_t floor = 0;
  std::uint64_t snapshot = 0;
};

struct Weights {
  SliceId slice = 0;
  Clock clock = 0;  // echoed
  Version version = 0;
  std::int64_t floor = 0;
  std::uint64_t snapshot = 0;
  Payload weights;  // float32, the slice's pieces end to end
};

// ---- joining ---------------------------------------------------------------------------------------

// Member -> scheduler, again until Welcome or Refuse.
struct Register {
  std::uint64_t nonce = 0;  // of this process; tells a new life from a repeat
  std::uint32_t pid = 0;
  std::string host, address, job_hash;
  std::string data_fingerprint;         // workers and evaluators
  std::uint64_t train_samples = 0;      // workers
  std::vector<ParameterSpec> manifest;  // workers
  template <typename A>
  void fields(A& a) {
    a(nonce, pid, host, address, job_hash, data_fingerprint, train_samples, manifest);
  }
};

// One worker as the shards must know it: its marks start at start_clock, older lives are fenced.
struct ActiveWorker {
  std::uint32_t rank = 0;
  Incarnation incarnation = 0;
  Clock start_clock = 0;
  friend bool operator==(const ActiveWorker&, const ActiveWorker&) = default;
  template <typename A>
  void fields(A& a) {
    a(rank, incarnation, start_clock);
  }
};

// Scheduler -> member. Servers get it first and initialize; workers and evaluators when all servers are
// ready.
struct Welcome {
  Incarnation incarnation = 0;
  std::uint32_t generation = 0;
  std::vector<ParameterSpec> manifest;
  RoutingTable routing;
  std::vector<ActiveWorker> active;  // for servers
  template <typename A>
  void fields(A& a) {
    a(incarnation, generation, manifest, routing, active);
  }
};

struct Refuse {
  Cause cause = Cause::kRefused;
  std::string text;
  template <typename A>
  void fields(A& a) {
    a(cause, text);
  }
};

// Member -> scheduler: Welcome was taken in, and what follows from it is done. Again until answered by a
// Beat that knows it.
struct Ready {
  template <typename A>
  void fields(A&) {}
};

// ---- staying ---------------------------------------------------------------------------------------

enum class WaitKind : std::uint8_t { kNothing = 0, kGrant = 1, kWeights = 2, kAcknowledgement = 3 };
[[nodiscard]] constexpr bool known(WaitKind kind) { return kind <= WaitKind::kAcknowledgement; }

// What a member waits for right now, so that the scheduler can say who waits for whom.
struct Waiting {
  WaitKind kind = WaitKind::kNothing;
  Clock clock = 0;
  SliceId slice = 0;
  std::uint64_t for_ns = 0;
  template <typename A>
  void fields(A& a) {
    a(kind, clock, slice, for_ns);
  }
};

struct ShardCounters {
  std::uint64_t pushes = 0, repeated = 0, dropped = 0, fenced = 0, nonfinite = 0;
  Version version_min = 0, version_max = 0;
  std::uint64_t slices = 0, bytes = 0;
  template <typename A>
  void fields(A& a) {
    a(pushes, repeated, dropped, fenced, nonfinite, version_min, version_max, slices, bytes);
  }
};

// Member -> scheduler, several times a second. What a shard knows is echoed, so that the scheduler can
// say again what was lost on the way.
struct Heartbeat {
  Waiting waiting;
  std::uint32_t generation = 0;      // newest Membership taken in
  std::uint64_t snapshot = 0;        // newest Snapshot taken in
  std::uint64_t refused_frames = 0;  // messages refused by the member; by the first of a process, frames too
  ShardCounters shard;
  template <typename A>
  void fields(A& a) {
    a(waiting, generation, snapshot, refused_frames, shard);
  }
};

// Scheduler -> member, the answer to a Heartbeat. `clock`: a worker's, as the scheduler knows it; ticks
// of the steps before it have arrived. `alarms`: a shard's, of this life; so many have arrived.
struct Beat {
  bool ready_known = false;
  Clock clock = 0;
  std::uint64_t alarms = 0;
  template <typename A>
  void fields(A& a) {
    a(ready_known, clock, alarms);
  }
};

// Scheduler -> servers: the active workers from now on.
struct Membership {
  std::uint32_t generation = 0;
  std::vector<ActiveWorker> active;
  template <typename A>
  void fields(A& a) {
    a(generation, active);
  }
};

// ---- stepping --------------------------------------------------------------------------------------

struct AgeCount {
  std::uint64_t age = 0, count = 0;
  template <typename A>
  void fields(A& a) {
    a(age, count);
  }
};

using AgeCounts = SmallVector<AgeCount, 4>;

struct VersionCount {
  Version version = 0;
  std::uint64_t count = 0;
  template <typename A>
  void fields(A& a) {
    a(version, count);
  }
};

// Worker -> scheduler: step `clock` is settled by every shard. The age of a push that was accepted is known
// when its update is committed; until then there is the version that it was computed on.
struct Tick {
  Clock clock = 0;
  std::uint64_t step_ns = 0, wait_ns = 0;  // whole step; time with nothing to compute, from the step before on
  std::uint64_t weights_ns = 0;            // the part of wait_ns in which weights were missing
  std::uint64_t settling_ns = 0;           // from the end of computing to the last acknowledgement
  std::uint64_t samples = 0;
  double correct = 0.0;  // sum over the samples of the share of their labels that were predicted
  double loss_sum = 0.0;
  std::uint32_t dropped = 0;              // pushes of slices that were settled without being applied
  AgeCounts ages;                         // of pushes that were applied
  SmallVector<VersionCount, 4> versions;  // of pushes that were accepted
  template <typename A>
  void fields(A& a) {
    a(clock, step_ns, wait_ns, weights_ns, settling_ns, samples, correct, loss_sum, dropped, ages, versions);
  }
};

// Positions [first, first + count) of the permutation of an epoch.
struct BatchRange {
  std::uint64_t epoch = 0, first = 0, count = 0;
  friend bool operator==(const BatchRange&, const BatchRange&) = default;
  template <typename A>
  void fields(A& a) {
    a(epoch, first, count);
  }
};

// Leave to take step `clock`: which leaves of which batch, and under which rules. min_clock and bound
// are those at the grant; they define the step's staleness and the floor of the weights it may use.
struct StepGrant {
  static constexpr std::int64_t kUnbounded = Mode::kUnbounded;
  Clock clock = 0, min_clock = 0;
  std::int64_t bound = 0;
  BatchRange batch;  // cut into `leaves` leaves
  std::uint32_t leaves = 1;
  LeafNodes nodes;  // the worker's part of the tree
  double rate = 0.0;
  std::uint32_t rule_epoch = 0;
  bool last = false;  // no later step will be granted

  // The least floor of weights that this step may use. / That a step of another clock may, under this bound.
  [[nodiscard]] std::int64_t floor() const { return floor_at(clock); }
  [[nodiscard]] std::int64_t floor_at(Clock at) const {
    return bound == kUnbounded ? 0 : (at > bound ? at - bound : 0);
  }
  template <typename A>
  void fields(A& a) {
    a(clock, min_clock, bound, batch, leaves, nodes, rate, rule_epoch, last);
  }
};

// A worker holds one or two: the step that it is at, and the one after it.
using StepGrants = SmallVector<StepGrant, 2>;

// Scheduler -> worker. A grant for a clock already granted adds nodes: those of a worker that died.
struct Grant {
  Clock clock = 0;  // the worker's, as the scheduler knows it (see Beat)
  StepGrants steps;
  BatchRange next;  // what the worker will probably be granted after these: for its reader
  template <typename A>
  void fields(A& a) {
    a(clock, steps, next);
  }
};

// ---- committed updates -----------------------------------------------------------------------------

// The pushes of one worker's step, one in every slice.
struct Contributor {
  std::uint32_t rank = 0;
  Clock clock = 0;
  friend auto operator<=>(const Contributor&, const Contributor&) = default;
  template <typename A>
  void fields(A& a) {
    a(rank, clock);
  }
};

// Scheduler -> servers: the next update of every slice, from pushes that every shard has accepted. Applied
// in the order of their numbers, once.
struct Commit {
  // So many may be on their way at once.
  static constexpr std::uint64_t kAheadMax = 8;

  std::uint64_t number = 0;               // from 1 on: the version that it makes of every slice
  std::vector<Contributor> contributors;  // in the order in which their gradients are added up
  double rate = 0.0;
  Clock floor = 0;  // of every slice from then on: pushes of a clock below it come too late

  // Nobody is named twice.
  [[nodiscard]] bool valid() const {
    const bool ascending = std::ranges::adjacent_find(contributors, std::greater_equal<>()) == contributors.end();
    return ascending && std::isfinite(rate) && rate >= 0.0;
  }
  template <typename A>
  void fields(A& a) {
    a(number, contributors, rate, floor);
  }
};

// Server -> scheduler: all commits up to this one are applied.
struct Committed {
  std::uint64_t number = 0;
  template <typename A>
  void fields(A& a) {
    a(number);
  }
};

// ---- the dead --------------------------------------------------------------------------------------

// Scheduler -> servers: this life of a worker is over; settle nothing more of it, say what was applied.
struct Seal {
  std::uint32_t rank = 0;
  Incarnation incarnation = 0;
  template <typename A>
  void fields(A& a) {
    a(rank, incarnation);
  }
};

struct Sealed {
  std::uint32_t rank = 0;
  Incarnation incarnation = 0;
  Clock highest = kNoClock;   // highest clock of which any slice here settled a push
  std::uint32_t settled = 0;  // slices that settled a push of that clock ...
  std::uint32_t slices = 0;   // ... of so many
  template <typename A>
  void fields(A& a) {
    a(rank, incarnation, highest, settled, slices);
  }
};

// ---- reading a fixed state -------------------------------------------------------------------------

// Scheduler -> servers: keep each slice as it is when its floor first reaches `clock`. In bsp that is
// the exact state of that clock.
struct Snapshot {
  std::uint64_t id = 0;
  Clock clock = 0;
  template <typename A>
  void fields(A& a) {
    a(id, clock);
  }
};

// Server -> scheduler: every slice of this shard is kept. `exact`: each at its first moment. `shard`: its
// counters now, so that the last snapshot's figures are those of the whole job.
struct SnapshotTaken {
  std::uint64_t id = 0;
  bool exact = true;
  ShardCounters shard;
  template <typename A>
  void fields(A& a) {
    a(id, exact, shard);
  }
};

struct SnapshotRelease {
  std::uint64_t id = 0;  // this one and all before it
  template <typename A>
  void fields(A& a) {
    a(id);
  }
};

// Scheduler -> evaluator.
struct Evaluate {
  std::uint64_t snapshot = 0;
  std::uint64_t epoch = 0;
  Clock clock = 0;
  bool final = false;  // also write the weights
  // With evaluation.holdout: the best figure on the held-out part so far; not finite: there is none.
  double to_beat = std::numeric_limits<double>::quiet_NaN();
  template <typename A>
  void fields(A& a) {
    a(snapshot, epoch, clock, final, to_beat);
  }
};

struct EvaluationFigures {
  bool evaluated = false;  // false: on nothing; the others mean nothing
  double loss = 0.0, accuracy = 0.0, precision_macro = 0.0, recall_macro = 0.0, f1_macro = 0.0;
  std::string details_json;  // per class, the other averages, the confusion matrix
  template <typename A>
  void fields(A& a) {
    a(evaluated, loss, accuracy, precision_macro, recall_macro, f1_macro, details_json);
  }
};

struct EvaluationDone {
  std::uint64_t snapshot = 0;
  EvaluationFigures figures;   // of the snapshot, on the held-out part, or without one on evaluation.part
  std::string weights_sha256;  // of the final one
  // With evaluation.holdout: whether it beats what was to beat, and so is in RUN/best.safetensors; and of the final
  // one, what the best weights come to on the test set, or the final ones where none counts as best.
  bool best = false;
  EvaluationFigures test;
  std::string best_sha256;  // of the weights in RUN/best.safetensors, where they were written or read for this
  template <typename A>
  void fields(A& a) {
    a(snapshot, figures, weights_sha256, best, test, best_sha256);
  }
};

// ---- trouble and the end ---------------------------------------------------------------------------

// Server -> scheduler: a push was not finite. `element`: the first number of the slice's that was not; or it was what
// they make that was not. Each is answered by a Beat, and said again with every heartbeat until one knows it.
struct Alarm {
  static constexpr std::uint64_t kNoElement = std::numeric_limits<std::uint64_t>::max();
  SliceId slice = 0;
  std::uint32_t worker = 0;
  Clock clock = 0;
  std::uint64_t element = kNoElement;
  std::uint64_t number = 0;  // of those of this life of the shard, from 1 on: taken in this order
  template <typename A>
  void fields(A& a) {
    a(slice, worker, clock, element, number);
  }
};

// Scheduler -> member: the job is over, or is for you. exit_code 0: well.
struct Finish {
  std::int32_t exit_code = 0;
  std::string text;
  template <typename A>
  void fields(A& a) {
    a(exit_code, text);
  }
};

// Member -> scheduler: leaving. exit_code 0: because of a Finish.
struct Goodbye {
  std::int32_t exit_code = 0;
  std::string text;
  template <typename A>
  void fields(A& a) {
    a(exit_code, text);
  }
};

using Body = std::variant<Push, PushAck, Pull, Weights, Register, Welcome, Refuse, Ready, Heartbeat, Beat, Membership,
                          Tick, Grant, Seal, Sealed, Snapshot, SnapshotTaken, SnapshotRelease, Evaluate, EvaluationDone,
                          Alarm, Finish, Goodbye, Commit, Committed>;

}  // namespace rubato::protocol
