// The best of several timed windows, by the wall and by the process's CPU time: on a busy machine the
// second still says something.
//
// Thread-safety: one owner.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string>

#include "base/time.h"

namespace rubato::bench {

class Stopwatch {
 public:
  void start() {
    wall_start_ = steady_now();
    cpu_start_ = cpu_now();
  }
  // Ends a window in which `samples` were trained.
  void stop(std::int64_t samples) {
    const auto count = static_cast<double>(samples);
    per_wall_second_ = std::max(per_wall_second_, count / seconds(steady_now() - wall_start_));
    per_cpu_second_ = std::max(per_cpu_second_, count / seconds(cpu_now() - cpu_start_));
  }
  [[nodiscard]] std::string text() const {
    return fmt::format("{:.1f} samples/s, {:.1f} per CPU second", per_wall_second_, per_cpu_second_);
  }

 private:
  static TimeNs cpu_now() {
    std::timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
  }

  TimeNs wall_start_ = 0, cpu_start_ = 0;
  double per_wall_second_ = 0.0, per_cpu_second_ = 0.0;
};

}  // namespace rubato::bench
