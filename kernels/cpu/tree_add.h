// One node of the fixed tree that sums the gradients of leaves: dst += src, element by element, so the
// bits do not depend on who adds nor in how many pieces. Servers and workers share it; no oneDNN.
#pragma once

#include <cstddef>
#include <span>

#include "base/check.h"

namespace rubato::kernels {

inline void tree_add(std::span<float> dst, std::span<const float> src) {
  RUBATO_CHECK(dst.size() == src.size(), "adding {} numbers to {}", src.size(), dst.size());
  float* __restrict to = dst.data();
  const float* __restrict from = src.data();
  for (std::size_t i = 0; i < dst.size(); ++i) to[i] += from[i];
}

}  // namespace rubato::kernels
