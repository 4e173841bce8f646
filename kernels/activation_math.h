// Activations of one number and their slopes, for kernels and loops of our own. (On the CPU activations are oneDNN's.)
// A slope is a function of the activation's value where that has one, as in ReLU's, tanh's and the sigmoid's case;
// GELU's is of its input.
//
// Thread-safety: pure.
#pragma once

#include <cmath>

#include "kernels/host_device.h"
#include "kernels/op_desc.h"

namespace rubato::kernels {

// Whether activation_gradient wants what went in, and not what came out.
RUBATO_HOST_DEVICE inline bool slope_needs_input(Activation activation) {
  return activation == Activation::kGelu || activation == Activation::kGeluTanh;
}

inline constexpr float kRootHalf = 0.70710678f;       // sqrt(1/2)
inline constexpr float kNormalDensity = 0.39894228f;  // 1 / sqrt(2 pi): the normal density at 0
inline constexpr float kGeluTanhScale = 0.79788456f;  // sqrt(2 / pi)
inline constexpr float kGeluTanhCube = 0.044715f;

RUBATO_HOST_DEVICE inline float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kRelu:
      return x < 0.0f ? 0.0f : x;  // a NaN stays one
    case Activation::kTanh:
      return tanhf(x);
    case Activation::kSigmoid: {
      const float e = expf(-fabsf(x));  // at most 1 on both sides
      return (x < 0.0f ? e : 1.0f) / (1.0f + e);
    }
    case Activation::kGelu:
      return 0.5f * x * erfcf(-x * kRootHalf);
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(kGeluTanhScale * (x + kGeluTanhCube * x * x * x)));
    case Activation::kNone:
      break;
  }
  return x;
}

// The gradient of the input from that of the output. `at`: the output, or where slope_needs_input, the input.
RUBATO_HOST_DEVICE inline float activation_gradient(Activation activation, float gradient, float at) {
  switch (activation) {
    case Activation::kRelu:
      return at > 0.0f ? gradient : 0.0f;
    case Activation::kTanh:
      return gradient * (1.0f - at * at);
    case Activation::kSigmoid:
      return gradient * (at * (1.0f - at));
    case Activation::kGelu:
      return gradient * (0.5f * erfcf(-at * kRootHalf) + at * kNormalDensity * expf(-0.5f * at * at));
    case Activation::kGeluTanh: {
      const float t = tanhf(kGeluTanhScale * (at + kGeluTanhCube * at * at * at));
      const float inner = kGeluTanhScale * (1.0f + 3.0f * kGeluTanhCube * at * at);
      return gradient * (0.5f * (1.0f + t) + 0.5f * at * (1.0f - t * t) * inner);
    }
    case Activation::kNone:
      break;
  }
  return gradient;
}

}  // namespace rubato::kernels
