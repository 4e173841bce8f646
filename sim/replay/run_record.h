// The records of all members of a run (protocol/record.h), joined: every step that a replay has to compute,
// and for each slice the updates in their order.
//
// Reading trusts nothing: what does not fit together is an Error that says what and where.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "protocol/manifest.h"
#include "protocol/record.h"

namespace rubato::sim {

// (worker, clock).
using StepKey = std::pair<std::uint32_t, Clock>;

// What one settled push brought to an update.
struct RecordedPush {
  std::uint32_t worker = 0;
  Clock clock = 0;
  protocol::LeafNode node;
  std::uint32_t gradient_hash = 0;

  [[nodiscard]] StepKey step() const { return {worker, clock}; }
};

// An update of a slice: of one push on arrival, of all pushes of a clock in an aggregate, of those that a
// commit names.
struct RecordedUpdate {
  enum class What : std::uint8_t {
    kApplied,    // made a version of its gradients
    kUnchanged,  // made a version with the weights of the one before
    kNone        // made no version, since its gradient was not finite
  } what = What::kApplied;
  std::uint32_t weights_hash = 0;
  double rate = 0.0;           // of several pushes; on arrival it is that of the step
  std::size_t pushes_end = 0;  // its pushes are those behind the update's before
};

struct SliceRecord {
  std::vector<RecordedUpdate> updates;
  std::vector<RecordedPush> pushes;
  Version versions = 0;                  // made by the updates: the number of the last
  std::optional<Version> final_version;  // that the last snapshot holds
};

struct RunRecord {
  std::string data_fingerprint, processor, device;  // of the workers

  std::map<std::uint32_t, std::map<Clock, protocol::RecordedStep>> steps;  // by worker
  std::set<StepKey> lives;                                                 // the first step of each process of a worker
  std::vector<SliceRecord> slices;
  std::uint64_t pushes = 0, bytes = 0;
  std::vector<std::string> notes;  // a line for people, for each file that is not whole

  [[nodiscard]] const protocol::RecordedStep* find(StepKey key) const;
};

// What the records must be of.
struct RecordedJob {
  std::string hash;
  Mode::Apply apply = Mode::Apply::kOnArrival;
  std::uint32_t shards = 0;  // members of role server
  std::uint32_t slices = 0;
  std::uint64_t placement = 0;  // protocol::placement_hash
};

// What a run of this job is cut into, as its scheduler did it.
[[nodiscard]] protocol::RoutingTable routing_of(const Job& job, const protocol::Manifest& manifest);
[[nodiscard]] RecordedJob recorded_job(const Job& job, const protocol::RoutingTable& routing);

// All of DIR, a run's folder `record`. Errors: kData; kRefused, where they are of another job, or cut it otherwise.
[[nodiscard]] Result<RunRecord> read_run_record(const std::string& dir, const RecordedJob& job);

}  // namespace rubato::sim
