// What the scheduler knows of each member of the job.
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/ids.h"
#include "base/time.h"
#include "protocol/messages.h"

namespace rubato::scheduler {

enum class MemberState : std::uint8_t {
  kJoining,  // registered; not ready
  kReady,    // took in the Welcome
  kDone,     // a worker that settled its last step: of the job, or of those granted before it drained
  kLost,     // exited, or silent for too long
  kEvicted   // taken out: alive, and not moving
};

[[nodiscard]] constexpr bool is_gone(MemberState state) {
  return state == MemberState::kLost || state == MemberState::kEvicted;
}

// Why a member is gone: in words that go on from its name ("was killed by signal 9"), or in its own.
struct Departure {
  std::string words;
  bool its_own = false;
  [[nodiscard]] std::string of(NodeId node) const { return node.name() + (its_own ? ": " : " ") + words; }
};

// A worker's part in the run.
struct WorkerRecord {
  Clock start = 0;                               // of this life
  Clock next_grant = 0;                          // the first step that it was not granted yet
  std::map<Clock, protocol::StepGrant> granted;  // granted and not ticked
  std::uint64_t samples = 0, steps = 0;
  // Of recent steps, exponentially weighted.
  double step_ns = 0.0, loss = 0.0;
  double step_samples = 0.0, between_ticks_s = 0.0;
  std::uint64_t age_sum = 0, age_count = 0;
  std::uint64_t wait_ns = 0, weights_ns = 0, total_ns = 0;
  TimeNs computed = 0;  // when the step ticked last was computed, as its tick says
  TimeNs ticked = 0;    // the last time, or the beginning of training
  TimeNs moved = 0;     // when it last had reason to get on: a tick, or a grant
  bool warned = false;  // of not moving

  // Ticks may come in pairs: a mean of rates would count the short ways between two of them too much.
  [[nodiscard]] double samples_per_s() const { return between_ticks_s > 0.0 ? step_samples / between_ticks_s : 0.0; }

  // Of the same rank in its next life: what was done is counted on, what was in hand is not.
  [[nodiscard]] WorkerRecord next_life() const {
    WorkerRecord next;
    next.samples = samples, next.steps = steps;
    next.age_sum = age_sum, next.age_count = age_count;
    next.wait_ns = wait_ns, next.weights_ns = weights_ns, next.total_ns = total_ns;
    return next;
  }
};

// What a member has counted, in all of its lives.
struct Counts {
  std::uint64_t pushes = 0, repeated = 0, dropped = 0, refused_frames = 0;

  Counts& operator+=(const Counts& other) {
    pushes += other.pushes;
    repeated += other.repeated;
    dropped += other.dropped;
    refused_frames += other.refused_frames;
    return *this;
  }
};

struct Member {
  NodeId node;
  MemberState state = MemberState::kJoining;
  Incarnation incarnation = 0;
  protocol::Register registered;
  TimeNs heard = 0;
  std::uint32_t route = 0;  // that it knows
  bool welcomed = false;
  std::uint64_t alarms = 0;  // of a shard, that have come
  protocol::Heartbeat beat;
  TimeNs beat_at = 0;
  Counts earlier;     // of the lives before this one, as each said last
  WorkerRecord work;  // workers only

  [[nodiscard]] Counts counts() const {
    Counts all{beat.shard.pushes, beat.shard.repeated, beat.shard.dropped, beat.refused_frames};
    return all += earlier;
  }
};

}  // namespace rubato::scheduler
