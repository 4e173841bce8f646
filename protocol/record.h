// The record of a run: what its replay needs (sim/replay/replayer.h), and no more. A job with `train.record = true`
// keeps one: each worker and each shard writes RUN/record/NODE.bin.
//
//   worker  for every step that it took: which samples and nodes, under which rate and rules, and of each
//           slice the version that it read
//   shard   for every slice the order in which pushes were settled, and what became of them; where updates
//           are of several pushes, which those are and when they were applied; which version of each slice a fixed
//           snapshot holds
//
// That is enough to repeat the run: a gradient is a function of weights and samples, an update one of
// weights and gradient, and all that a network and a clock decided is in here. Hashes of gradients and of
// updated weights are kept to name what differs, should anything.
//
// A file is the 8 bytes of kRecordMagic, then blocks:
//   u32  length of the bytes below      u32  checksum: the low half of their XXH3
//   ...  bytes
// The first block is the RecordHeader (protocol/wire.h), the others hold entries (protocol/record_coding.h).
// A block is written at once: a file that was cut short is whole up to its last complete block.
//
// Thread-safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "protocol/messages.h"

namespace rubato::protocol {

// The last byte is the version of the format.
inline constexpr std::array<unsigned char, 8> kRecordMagic{'r', 'u', 'b', 'r', 'e', 'c', 0, 1};

struct RecordHeader {
  std::uint8_t role = 0;  // of base/ids.h
  std::uint32_t rank = 0;
  std::string job_hash;
  std::string data_fingerprint;  // of a worker
  std::uint32_t slices = 0;      // of the whole job ...
  std::uint64_t placement = 0;   // ... and how they are cut and placed (protocol/manifest.h)
  std::string processor;         // base/processor.h
  std::string device;            // of a worker: threads, library, version, instructions

  [[nodiscard]] NodeId node() const { return {static_cast<Role>(role), rank}; }
  [[nodiscard]] bool valid() const { return role <= static_cast<std::uint8_t>(Role::kEvaluator); }
  friend bool operator==(const RecordHeader&, const RecordHeader&) = default;
  template <typename A>
  void fields(A& a) {
    a(role, rank, job_hash, data_fingerprint, slices, placement, processor, device);
  }
};

// ---- of workers

// Written before any gradient of the step leaves: whatever a shard settled of a worker that was killed is
// in the worker's record.
struct RecordedStep {
  Clock clock = 0;
  BatchRange batch;
  std::uint32_t leaves = 1;
  std::vector<LeafNode> nodes;
  double rate = 0.0;
  std::uint32_t rule_epoch = 0;
  std::vector<Version> used;  // by slice
  friend bool operator==(const RecordedStep&, const RecordedStep&) = default;
};

// Nodes of a worker that died, for a step recorded before.
struct RecordedNodes {
  Clock clock = 0;
  std::vector<LeafNode> nodes;
  friend bool operator==(const RecordedNodes&, const RecordedNodes&) = default;
};

// ---- of shards

struct RecordedSettle {
  SliceId slice = 0;
  std::uint32_t worker = 0;
  Clock clock = 0;
  LeafNode node;
  Fate fate = Fate::kNone;
  std::uint32_t gradient_hash = 0;  // of the bytes pushed
  std::uint32_t weights_hash = 0;   // of the version that it made, on arrival; 0 if it made none
  friend bool operator==(const RecordedSettle&, const RecordedSettle&) = default;
};

// A push accepted before has a part in the commit that is applied next to its slice; in the order in which they
// are added up.
struct RecordedContribution {
  SliceId slice = 0;
  std::uint32_t worker = 0;
  Clock clock = 0;
  friend bool operator==(const RecordedContribution&, const RecordedContribution&) = default;
};

// A version was made: of the aggregate of a clock, whose settled pushes stand before; or of a commit.
struct RecordedApply {
  SliceId slice = 0;
  Clock clock = 0;     // of a commit: the floor from then on
  bool empty = false;  // no gradient to apply: the weights are those of the version before
  double rate = 0.0;
  std::uint32_t weights_hash = 0;
  friend bool operator==(const RecordedApply&, const RecordedApply&) = default;
};

struct RecordedSnapshot {
  std::uint64_t snapshot = 0;
  SliceId slice = 0;
  Version version = 0;
  friend bool operator==(const RecordedSnapshot&, const RecordedSnapshot&) = default;
};

using RecordEntry =
    std::variant<RecordedStep, RecordedNodes, RecordedSettle, RecordedApply, RecordedSnapshot, RecordedContribution>;

}  // namespace rubato::protocol
