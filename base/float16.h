// float32 values as 16 bits, IEEE 754's float16 and bfloat16, and back.
//
// Rounding is to the nearest and of two equally near ones to the even. What is larger than the largest 16-bit value by
// half a step or more becomes an infinity; infinities stay, a NaN stays a NaN. Back is exact. No branches: loops over
// these become vectors.
//
// Kernels of a GPU compute those of bfloat16 too (kernels/cuda/rounding_kernel.cu): constexpr functions are for both.
//
// Thread-safety: pure functions.
#pragma once

#include <bit>
#include <cstdint>

namespace rubato {
namespace float16 {

// Of the bits of a float32 or float16 without their signs.
inline constexpr std::uint32_t kInfinity = 0x7F800000, kHalfInfinity = 0x7C00;
inline constexpr std::uint32_t kHalfLeastNormal = 0x400;
inline constexpr std::uint32_t kLeastNormalHalf = 113u << 23;  // 2^-14, as a float32
inline constexpr std::uint32_t kAboveHalf = 143u << 23;        // 2^16: larger than every float16
inline constexpr std::uint32_t kRebias = 112u << 23;           // between their exponents, 127 - 15

// `yes` or `no`, without a branch: all ways are computed and one is chosen, so the loops over them become vectors.
inline std::uint32_t choose(bool condition, std::uint32_t yes, std::uint32_t no) {
  const std::uint32_t mask = 0u - static_cast<std::uint32_t>(condition);
  return (yes & mask) | (no & ~mask);
}

}  // namespace float16

// float16: a sign, 5 bits of exponent, 10 of fraction, with subnormals.
[[nodiscard]] inline std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000, size = bits & 0x7FFFFFFF;
  // Adds a bit less than half of the last place kept, and that bit where the place is odd. A carry goes into the
  // exponent, as it should, and from the largest value on into the infinity.
  const std::uint32_t normal = (size - float16::kRebias + 0xFFF + ((size >> 13) & 1)) >> 13;
  // 0.5 has the last place of float16's subnormals, 2^-24: the addition rounds.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t payload = (size >> 13) & 0x3FF;
  const std::uint32_t nan = float16::kHalfInfinity | float16::choose(payload == 0, 0x200, payload);
  std::uint32_t half = float16::choose(size < float16::kLeastNormalHalf, subnormal, normal);
  half = float16::choose(size >= float16::kAboveHalf, float16::kHalfInfinity, half);
  half = float16::choose(size > float16::kInfinity, nan, half);
  return static_cast<std::uint16_t>(sign | half);
}

[[nodiscard]] inline float from_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16, size = half & 0x7FFFu;
  const std::uint32_t normal = (size << 13) + float16::kRebias;
  const std::uint32_t not_finite = (size << 13) + 2 * float16::kRebias;
  const auto subnormal = std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(size)) * 0x1p-24f);
  std::uint32_t bits = float16::choose(size < float16::kHalfLeastNormal, subnormal, normal);
  bits = float16::choose(size >= float16::kHalfInfinity, not_finite, bits);
  return std::bit_cast<float>(sign | bits);
}

// bfloat16: the upper half of a float32, rounded.
[[nodiscard]] constexpr std::uint16_t to_bfloat(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t cut = bits >> 16;
  const std::uint32_t rounded = (bits + 0x7FFF + (cut & 1)) >> 16;
  const std::uint32_t nan = (cut & 0x7F) == 0 ? cut | 0x40 : cut;
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFF) > float16::kInfinity ? nan : rounded);
}

[[nodiscard]] constexpr float from_bfloat(std::uint16_t bfloat) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bfloat) << 16);
}

}  // namespace rubato
