// Which elements a dropout keeps: word `element mod 4` of Philox's block (layer, element / 4; sample id) in the stream
// of the epoch. One source for every device, so that they draw the same.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>

#include "base/philox.h"
#include "kernels/host_device.h"

namespace rubato::kernels {

// The bits of elements 4 * quad to 4 * quad + 3 of a sample.
RUBATO_HOST_DEVICE inline PhiloxBlock dropout_bits(std::uint64_t epoch_key, std::uint32_t layer, std::uint64_t quad,
                                                   std::uint64_t sample_id) {
  return philox4x32(epoch_key, std::uint64_t{layer} << 32 | quad, sample_id);
}

RUBATO_HOST_DEVICE inline bool dropout_keeps(std::uint32_t bits, float rate) { return unit_float(bits) >= rate; }

}  // namespace rubato::kernels
