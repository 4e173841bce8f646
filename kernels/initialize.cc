#include "kernels/initialize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"
#include "base/rng.h"

namespace rubato::kernels {
namespace {

std::uint64_t word64(const PhiloxBlock& block, std::size_t half) {
  return std::uint64_t{block[2 * half]} << 32 | block[2 * half + 1];
}

float uniform_element(std::uint64_t key, std::uint64_t element) {
  // Exact: 2u - 1 is a multiple of 2^-23 in [-1, 1).
  return 2.0f * unit_float(philox4x32(key, element / 4, 0)[element % 4]) - 1.0f;
}

float normal_element(std::uint64_t key, std::uint64_t element) {
  const PhiloxBlock block = philox4x32(key, element / 2, 0);
  const double u = static_cast<double>((word64(block, 0) >> 11) + 1) * 0x1p-53;  // (0, 1]: log is finite
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(word64(block, 1) >> 11) * 0x1p-53;
  const double direction = element % 2 == 0 ? std::cos(angle) : std::sin(angle);
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * direction);
}

}  // namespace

void initialize(const ParameterSpec& spec, std::uint64_t seed, std::int64_t first_element, std::span<float> out) {
  RUBATO_CHECK(first_element >= 0 && first_element <= spec.elements() &&
                   static_cast<std::int64_t>(out.size()) <= spec.elements() - first_element,
               "elements [{}, +{}) of {}, which has {}", first_element, out.size(), spec.name, spec.elements());
  const std::uint64_t key = stream_key(seed, "initialize:" + spec.name);
  const auto first = static_cast<std::uint64_t>(first_element);
  const float scale = spec.initializer.scale;
  switch (spec.initializer.kind) {
    case InitializerKind::kZeros:
      std::ranges::fill(out, 0.0f);
      return;
    case InitializerKind::kOnes:
      std::ranges::fill(out, 1.0f);
      return;
    case InitializerKind::kUniform:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = scale * uniform_element(key, first + i);
      return;
    case InitializerKind::kNormal:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = scale * normal_element(key, first + i);
      return;
  }
  RUBATO_CHECK(false, "initializer kind {}", static_cast<int>(spec.initializer.kind));
}

}  // namespace rubato::kernels
