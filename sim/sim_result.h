// What came out of a simulated job.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "protocol/core.h"
#include "transport/sim/sim_network.h"

namespace rubato::sim {

// How a member ended.
struct MemberEnd {
  TimeNs at = 0;
  int exit_code = 0;
  std::string text;
};

// A fixed snapshot as the evaluator read it.
struct ReadSnapshot {
  std::uint64_t epoch = 0;
  Clock clock = 0;
  bool final = false;
  std::vector<float> weights;  // in the manifest's order
};

struct SimNote {
  TimeNs at = 0;
  NodeId node;
  protocol::Level level = protocol::Level::kInfo;
  std::string text;
};

struct SimResult {
  // Everybody who was not killed or stopped has ended. Otherwise time ran out, and `unfinished` is the
  // scheduler's status: who waits for whom.
  bool over = false;
  std::string unfinished;

  int exit_code = 0;  // the scheduler's, or of whoever ended first where there is none
  std::string text;
  TimeNs time = 0;

  std::vector<ReadSnapshot> snapshots;  // in the order in which they were read
  std::vector<float> final_weights;     // of the final one; empty, if there was none
  std::vector<std::string> metrics;     // lines of metrics.jsonl
  std::map<NodeId, MemberEnd> ends;
  std::vector<protocol::ShardCounters> shards;  // by rank
  transport::SimCounters network;
  std::vector<SimNote> notes;
};

}  // namespace rubato::sim
