// Whether a reader that has nothing to read should look again for a while before it sleeps. Being woken takes tens of
// microseconds, a look far less than one; but who looks keeps a processor from those who have something to do, perhaps
// from the very one it waits for.
//
// So it is learned. Looking pays where answers came soon several times in a row. Where looking was in vain, twice as
// many such answers are wanted before it is tried again, up to kWantedMax; where it was not, half as many. On one
// processor, where nothing can come while somebody looks, that soon is next to never.
//
// Thread-safety: a value.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace rubato::transport {

class Patience {
 public:
  static constexpr int kWantedMin = 2, kWantedMax = 1024;
  // What being woken takes, at most, where nothing else is the matter.
  static constexpr TimeNs kWaking = 100 * kMicrosecond;

  // `limit`: how long to look at most. 0: never.
  explicit Patience(TimeNs limit) : limit_(limit) {}

  // How long to look now.
  [[nodiscard]] TimeNs allowance() const { return soon_in_a_row_ >= wanted_ ? limit_ : 0; }

  // Something came after so long, to somebody who looked, or who had to be woken.
  void came_while_looking(TimeNs waited) {
    // Somebody else had the processor meanwhile: it came because the looking was interrupted.
    if (waited > limit_) return in_vain();
    wanted_ = std::max(wanted_ / 2, kWantedMin);
    soon_in_a_row_ = std::max(soon_in_a_row_, wanted_);
  }
  void came_to_a_sleeper(TimeNs waited) {
    soon_in_a_row_ = waited < limit_ + kWaking ? std::min(soon_in_a_row_ + 1, kWantedMax) : 0;
  }
  // Nothing came for as long as was allowed.
  void in_vain() {
    wanted_ = std::min(wanted_ * 2, kWantedMax);
    soon_in_a_row_ = 0;
  }

 private:
  const TimeNs limit_;
  int wanted_ = kWantedMin, soon_in_a_row_ = 0;
};

}  // namespace rubato::transport
