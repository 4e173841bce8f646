// Floats of 16 bits as float, exactly.
//
// Thread-safety: pure functions.
#pragma once

#include <bit>
#include <cstdint>

namespace rubato::data {

// IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction.
[[nodiscard]] inline float float_of_half(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16, fraction = bits & 0x3ffu;
  const std::uint32_t exponent = bits >> 10 & 0x1fu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);  // infinite, or no number
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = static_cast<float>(fraction) * 0x1p-24f;
  return sign != 0 ? -small : small;
}

// bfloat16: the upper half of a float.
[[nodiscard]] inline float float_of_bfloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace rubato::data
