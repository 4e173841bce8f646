// Time as the cores see it: a number of nanoseconds that only ever grows, handed in as an argument.
// Processes take it from the steady clock, the simulator from its own virtual clock. ("Clock" alone
// always means a worker's clock, the number of steps it has settled: base/ids.h.)
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace rubato {

using TimeNs = std::int64_t;

inline constexpr TimeNs kMicrosecond = 1'000;
inline constexpr TimeNs kMillisecond = 1'000'000;
inline constexpr TimeNs kSecond = 1'000'000'000;
inline constexpr TimeNs kNever = std::numeric_limits<TimeNs>::max();

inline TimeNs steady_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

inline double seconds(TimeNs time) { return static_cast<double>(time) * 1e-9; }

}  // namespace rubato
