#include "transport/sim/link_model.h"

#include <cmath>

#include "base/check.h"

namespace rubato::transport {

Delay Delay::uniform(TimeNs least, TimeNs most) {
  RUBATO_CHECK(0 <= least && least <= most, "uniform delay in [{}, {})", least, most);
  return {Kind::kUniform, least, static_cast<double>(most - least)};
}

Delay Delay::exponential(TimeNs least, TimeNs mean_beyond) {
  RUBATO_CHECK(0 <= least && 0 <= mean_beyond, "exponential delay of {} and {} beyond", least, mean_beyond);
  return {Kind::kExponential, least, static_cast<double>(mean_beyond)};
}

Delay Delay::lognormal(TimeNs median, double sigma) {
  RUBATO_CHECK(0 <= median && 0.0 <= sigma, "lognormal delay of median {} and sigma {}", median, sigma);
  return {Kind::kLognormal, median, sigma};
}

TimeNs Delay::draw(RandomStream& random) const {
  switch (kind_) {
    case Kind::kConstant:
      return base_;
    case Kind::kUniform:
      return base_ + static_cast<TimeNs>(spread_ * random.next_unit());
    case Kind::kExponential:
      return base_ + static_cast<TimeNs>(-spread_ * std::log(1.0 - random.next_unit()));
    case Kind::kLognormal:
      return static_cast<TimeNs>(static_cast<double>(base_) * std::exp(spread_ * random.next_normal()));
  }
  return base_;
}

}  // namespace rubato::transport
