// What processes have used so far: CPU time, and pages that were mapped at their first touch.
//
// Thread-safety: pure functions of the kernel's counters.
#pragma once

#include <fmt/format.h>
#include <sys/types.h>

#include <ctime>
#include <fstream>
#include <span>
#include <string>

#include "base/check.h"

namespace rubato::bench {

struct Usage {
  double cpu_s = 0.0;
  double faults = 0.0;

  friend Usage operator+(const Usage& a, const Usage& b) { return {a.cpu_s + b.cpu_s, a.faults + b.faults}; }
  friend Usage operator-(const Usage& a, const Usage& b) { return {a.cpu_s - b.cpu_s, a.faults - b.faults}; }
};

[[nodiscard]] inline Usage usage_of(pid_t pid) {
  clockid_t clock{};
  std::timespec time{};
  RUBATO_CHECK(::clock_getcpuclockid(pid, &clock) == 0 && ::clock_gettime(clock, &time) == 0, "process {}", pid);
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  std::string word;
  for (int field = 0; field < 10; ++field) stat >> word;  // no space in a name of ours
  return {static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec), std::stod(word)};
}

[[nodiscard]] inline Usage usage_of(std::span<const pid_t> pids) {
  Usage sum;
  for (const pid_t pid : pids) sum = sum + usage_of(pid);
  return sum;
}

}  // namespace rubato::bench
