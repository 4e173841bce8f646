// A tensor's numbers, which are float32 or bfloat16: read as the former, and written by rounding what a sum has come
// to, once. Written from bfloat16's definition, not from the product's code: a float32 whose significand has 8 bits.
//
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rubato::cuda_fake {

enum class Type : std::uint8_t { kFloat32, kBfloat16 };
inline std::size_t bytes_of(Type type) { return type == Type::kFloat32 ? 4 : 2; }

// The nearest number of 8 bits, of two the even one; below float32's least normal number they are all 2^-133 apart.
inline double to_eight_bits(double value) {
  if (!std::isfinite(value)) return value;
  int exponent = 0;
  std::frexp(value, &exponent);
  exponent = std::max(exponent, -125);
  return std::ldexp(std::nearbyint(std::ldexp(value, 8 - exponent)), exponent - 8);
}

class Numbers {
 public:
  Numbers(const void* data, Type type) : data_(static_cast<std::byte*>(const_cast<void*>(data))), type_(type) {}

  [[nodiscard]] float operator[](std::int64_t i) const {
    float value = 0.0f;
    // A bfloat16 is the upper half of a float32.
    std::memcpy(upper(value), at(i), bytes_of(type_));
    return value;
  }
  void set(std::int64_t i, double sum) const {
    auto value = static_cast<float>(type_ == Type::kBfloat16 ? to_eight_bits(sum) : sum);
    std::memcpy(at(i), upper(value), bytes_of(type_));
  }
  [[nodiscard]] Numbers from(std::int64_t first) const { return {at(first), type_}; }

 private:
  [[nodiscard]] std::byte* at(std::int64_t i) const { return data_ + i * static_cast<std::int64_t>(bytes_of(type_)); }
  [[nodiscard]] std::byte* upper(float& value) const {
    return reinterpret_cast<std::byte*>(&value) + (sizeof value - bytes_of(type_));
  }

  std::byte* data_;
  Type type_;
};

}  // namespace rubato::cuda_fake
