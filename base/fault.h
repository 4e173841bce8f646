// What goes wrong in a simulated job, and when: the job key simulation.faults. A member is named as
// everywhere: scheduler, server-0, worker-2, evaluator-0.
//
//   kill worker-1 at 3s                  as SIGKILL
//   crash server-0 at 2s for 0.5s        as SIGKILL; what lay in memory that outlives it is there when it is started
//                                        again, so much later
//   return worker-1 at 5s                a new process of a worker that is gone
//   pause worker-2 at 1s for 0.5s        as SIGSTOP, and SIGCONT later; without `for`, never
//   cut worker-1 server-0 at 2s for 1s   nothing passes between the two; without `for`, ever again
//   drain at 5s                          as a first Ctrl-C
//
// Times are virtual: a number with s, ms or us behind it.
//
// Thread-safety: plain values; a pure function.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace rubato {

struct Fault {
  enum class Kind : std::uint8_t { kKill, kPause, kCut, kDrain, kReturn, kCrash };
  TimeNs at = 0;  // 0: before anybody starts
  Kind kind = Kind::kKill;
  std::string member = {};  // of kDrain: the scheduler
  std::string other = {};   // of kCut
  TimeNs end = kNever;
  friend bool operator==(const Fault&, const Fault&) = default;
};

// Errors: kUsage, with what is allowed.
[[nodiscard]] Result<Fault> parse_fault(const std::string& text);

}  // namespace rubato
