// How a simulated link treats the frames sent over it.
//
// A real connection keeps order and loses nothing while it lives; a link with loss, duplication or
// reordering is worse on purpose, since the protocol above has to survive connections that break.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>

#include "base/rng.h"
#include "base/time.h"

namespace rubato::transport {

class Delay {
 public:
  static Delay constant(TimeNs delay) { return {Kind::kConstant, delay, 0.0}; }
  // In [least, most).
  static Delay uniform(TimeNs least, TimeNs most);
  // `least` and an exponential of mean `mean_beyond` on top.
  static Delay exponential(TimeNs least, TimeNs mean_beyond);
  // exp(sigma z) times the median, z standard normal.
  static Delay lognormal(TimeNs median, double sigma);

  [[nodiscard]] TimeNs draw(RandomStream& random) const;

 private:
  enum class Kind : std::uint8_t { kConstant, kUniform, kExponential, kLognormal };
  Delay(Kind kind, TimeNs base, double spread) : kind_(kind), base_(base), spread_(spread) {}

  Kind kind_;
  TimeNs base_;    // the least, or the median
  double spread_;  // nanoseconds, or sigma
};

struct LinkModel {
  Delay delay = Delay::constant(50 * kMicrosecond);
  double loss = 0.0;                                // probability that a frame never arrives
  double duplication = 0.0;                         // ... that it arrives twice
  double reordering = 0.0;                          // ... that it is held up, so that later ones may overtake it
  Delay held_up = Delay::uniform(0, kMillisecond);  // for how long; a second copy likewise
  double bytes_per_s = 0.0;                         // 0: unlimited
};

}  // namespace rubato::transport
