// What tensor cores make of a factor.
#pragma once

#include <cmath>

namespace rubato::cuda_fake {

// TF32 has 10 bits behind the point.
inline float to_tf32(float value) {
  int exponent = 0;
  const float fraction = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 11)), exponent - 11);
}

}  // namespace rubato::cuda_fake
