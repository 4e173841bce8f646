// What a simulated job is run with, apart from the job itself: the network, the speed of the workers, and
// what goes wrong when.
//
// A host is a process and is named for its first member: "scheduler", "server-0", "worker-2",
// "evaluator-0".
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/time.h"
#include "protocol/core.h"
#include "transport/sim/link_model.h"

namespace rubato::sim {

// How long a step takes: a draw for each, times the factor of its worker.
struct ComputeTime {
  transport::Delay step = transport::Delay::constant(10 * kMillisecond);
  std::vector<double> factors;  // by rank; 1 behind the end
  TimeNs evaluation = 5 * kMillisecond;

  [[nodiscard]] double factor(std::uint32_t rank) const { return rank < factors.size() ? factors[rank] : 1.0; }
};

struct Fault {
  enum class Kind : std::uint8_t {
    kKill,    // as SIGKILL
    kPause,   // as SIGSTOP
    kResume,  // as SIGCONT
    kCut,     // nothing passes between `host` and `other` until `end`
    kDrain    // as a first Ctrl-C
  };
  TimeNs at = 0;  // 0: before anybody starts
  Kind kind = Kind::kKill;
  std::string host;
  std::string other;
  TimeNs end = 0;
};

struct SimOptions {
  std::uint64_t seed = 1;
  transport::LinkModel link;
  ComputeTime compute;
  std::vector<Fault> faults;
  // The launcher sees children exit, tells the scheduler, and starts an evaluator again. Without it, deaths
  // show by silence alone.
  bool launcher = true;
  protocol::Timing timing{.heartbeat = 50 * kMillisecond,
                          .lost_after = 500 * kMillisecond,
                          .resend_after = 20 * kMillisecond,
                          .start_timeout = 2 * kSecond,
                          .evict_after = 2 * kSecond};
  // Members keep their records in this folder (protocol/record.h); empty: there are none.
  std::string record_dir;
  // Gets every line of the trace (protocol/trace.h), without a line end. None: nothing is written.
  std::function<void(const std::string&)> trace;
};

}  // namespace rubato::sim
