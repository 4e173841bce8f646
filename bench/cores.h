// Which cores this process may run on, and being kept to one of them.
//
// Thread-safety: what is kept is the calling thread, and those that it starts.
#pragma once

#include <sched.h>

#include <vector>

#include "base/check.h"

namespace rubato::bench {

[[nodiscard]] inline std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  RUBATO_CHECK(::sched_getaffinity(0, sizeof(set), &set) == 0);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  return cores;
}

// None of them: wherever it was is where it stays.
inline void keep_to(const std::vector<int>& cores) {
  if (cores.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(core, &set);
  RUBATO_CHECK(::sched_setaffinity(0, sizeof(set), &set) == 0);
}

}  // namespace rubato::bench
