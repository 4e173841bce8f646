#include "kernels/cpu/column_sums.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/tensor_layout.h"

namespace rubato::kernels {
namespace {

// Lanes enough to keep the vector units busy; few channels share them, several pixels side by side.
constexpr std::int64_t kLanes = 64;

void add(float* __restrict to, const float* __restrict from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
}

void sum_sample(const float* values, std::int64_t pixels, std::int64_t channels, float* sums) {
  std::fill_n(sums, channels, 0.0f);
  if (channels >= kLanes) {
    for (std::int64_t p = 0; p < pixels; ++p) add(sums, values + p * channels, channels);
    return;
  }
  const std::int64_t abreast = (kLanes + channels - 1) / channels, width = abreast * channels;
  float lanes[2 * kLanes] = {};
  std::int64_t p = 0;
  for (; p + abreast <= pixels; p += abreast) add(lanes, values + p * channels, width);
  add(lanes, values + p * channels, (pixels - p) * channels);
  for (std::int64_t k = 0; k < abreast; ++k) add(sums, lanes + k * channels, channels);
}

}  // namespace

void column_sums(const float* values, const TensorShape& shape, Layout layout, int threads, float* scratch,
                 float* sums) {
  const TensorShape rows = as_rows(shape, layout);  // its sums lie as a row for each sample, in either layout
  const std::int64_t pixels = rows.height * rows.width, channels = rows.channels;
#pragma omp parallel for num_threads(threads)
  for (std::int64_t n = 0; n < rows.samples; ++n) {
    sum_sample(values + n * pixels * channels, pixels, channels, scratch + n * channels);
  }
  std::fill_n(sums, shape.channels, 0.0f);
  for (std::int64_t n = 0; n < shape.samples; ++n) add(sums, scratch + n * shape.channels, shape.channels);
}

}  // namespace rubato::kernels
