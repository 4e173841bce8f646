// That a process of the job has ended, as whoever started it says: the launcher, or another supervisor.
#pragma once

#include <cstdint>

#include "base/ids.h"

namespace rubato::scheduler {

struct MemberExit {
  NodeId node;            // the process: a server by its process's rank
  int code = 0;           // negative for a signal
  bool again = false;     // of a server: it is started again, over the memory in which it has lain
  std::uint32_t pid = 0;  // as it registered, or would have; 0: not said
};

}  // namespace rubato::scheduler
