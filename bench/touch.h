// Reading every value of what came, as fast as memory gives it, in a way that nobody may leave out.
//
// Thread-safety: a pure function.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace rubato::bench {

// A checksum of the bits, in any order: unlike a sum of floats it is made in vectors.
[[nodiscard]] inline std::uint32_t touch(std::span<const float> values) {
  std::uint32_t sum = 0;
  for (const float value : values) sum ^= std::bit_cast<std::uint32_t>(value);
  return sum;
}

}  // namespace rubato::bench
