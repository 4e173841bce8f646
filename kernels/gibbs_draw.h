// Which units of a restricted Boltzmann machine are on: word `unit mod 4` of Philox's block (unit / 4 and 2 step +
// side; sample id) in the stream of the machine and the epoch. One source for every device, so that they draw the same.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>

#include "base/philox.h"
#include "kernels/host_device.h"

namespace rubato::kernels {

enum class RbmSide : std::uint8_t { kHidden = 0, kVisible = 1 };

struct GibbsDraw {
  std::uint64_t epoch_key = 0;  // of the machine in this epoch
  std::uint64_t step = 0;
  RbmSide side = RbmSide::kHidden;
};

// The bits of units 4 * quad to 4 * quad + 3 of a sample.
RUBATO_HOST_DEVICE inline PhiloxBlock gibbs_bits(const GibbsDraw& draw, std::uint64_t quad, std::uint64_t sample_id) {
  const std::uint64_t place = (draw.step * 2 + static_cast<std::uint64_t>(draw.side)) << 32;
  return philox4x32(draw.epoch_key, place | quad, sample_id);
}

// The state of a unit that is on with this probability.
RUBATO_HOST_DEVICE inline float gibbs_state(std::uint32_t bits, float probability) {
  return unit_float(bits) < probability ? 1.0f : 0.0f;
}

}  // namespace rubato::kernels
