// The inner loops of batch normalization, over one piece: rows of `width` channels that lie one behind the other. Of a
// channels-last tensor that is any number of pixels, all channels wide; in the device's own layout
// (kernels/cpu/tensor_layout.h) pixels of one sample and block. A width that is known when this is compiled (kWidth; 0:
// it is `width`) lets a block's sums stay in registers, where it is as wide as one.
//
// Sources that include this are compiled with contraction: see kernels/cpu/CMakeLists.txt.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/tensor_layout.h"

namespace rubato::kernels {

// Adds to sums[c].
template <std::int64_t kWidth>
void add_rows(const float* __restrict x, std::int64_t rows, std::int64_t width, float* __restrict sums) {
  if constexpr (kWidth == kLanes) {
    Lanes sum = read(sums), other{};
    std::int64_t r = 0;
    for (; r + 2 <= rows; r += 2) {
      sum += read(x + r * kLanes);
      other += read(x + (r + 1) * kLanes);
    }
    if (r < rows) sum += read(x + r * kLanes);
    write(sums, sum + other);
  } else {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < width; ++c) sums[c] += x[r * width + c];
  }
}

// Adds to rest[c] what is left about mean[c], to squares[c] its square.
template <std::int64_t kWidth>
void add_deviations(const float* __restrict x, std::int64_t rows, std::int64_t width, const float* __restrict mean,
                    float* __restrict rest, float* __restrict squares) {
  if constexpr (kWidth == kLanes) {
    const Lanes center = read(mean);
    Lanes sum = read(rest), square = read(squares);
    for (std::int64_t r = 0; r < rows; ++r) {
      const Lanes d = read(x + r * kLanes) - center;
      sum += d;
      square += d * d;
    }
    write(rest, sum);
    write(squares, square);
  } else {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < width; ++c) {
        const float d = x[r * width + c] - mean[c];
        rest[c] += d;
        squares[c] += d * d;
      }
  }
}

struct PerChannel {
  const float *mean, *scale, *shift;
};

template <std::int64_t kWidth, bool kAdds, bool kRelu>
void normalize(const float* __restrict x, const float* __restrict addend, float* __restrict y, std::int64_t rows,
               std::int64_t width, const PerChannel& per) {
  const float* __restrict mean = per.mean, * __restrict scale = per.scale, * __restrict shift = per.shift;
  const std::int64_t channels = kWidth > 0 ? kWidth : width;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t i = r * channels + c;
      float value = (x[i] - mean[c]) * scale[c] + shift[c];
      if constexpr (kAdds) value += addend[i];
      if constexpr (kRelu) value = value < 0.0f ? 0.0f : value;
      y[i] = value;
    }
}

// Scale (g - level - (x - mean) slope), for each channel.
template <std::int64_t kWidth>
void differentiate(const float* __restrict x, const float* __restrict g, float* __restrict to, std::int64_t rows,
                   std::int64_t width, const PerChannel& per, const float* __restrict slope) {
  const float* __restrict mean = per.mean, * __restrict scale = per.scale, * __restrict level = per.shift;
  const std::int64_t channels = kWidth > 0 ? kWidth : width;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t i = r * channels + c;
      to[i] = scale[c] * (g[i] - level[c] - (x[i] - mean[c]) * slope[c]);
    }
}

// g becomes the gradient before the activation; its sum is added to sums[c], that of its product with x - mean to
// products[c].
template <std::int64_t kWidth, bool kSecond, bool kRelu>
void reduce(float* __restrict g, const float* __restrict second, const float* __restrict y, const float* __restrict x,
            const float* __restrict mean, std::int64_t rows, std::int64_t width, float* __restrict sums,
            float* __restrict products) {
  if constexpr (kWidth == kLanes) {
    const Lanes center = read(mean);
    Lanes sum = read(sums), product = read(products);
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t i = r * kLanes;
      Lanes value = read(g + i);
      if constexpr (kSecond) value += read(second + i);
      if constexpr (kRelu) value = read(y + i) > 0.0f ? value : Lanes{};
      if constexpr (kSecond || kRelu) write(g + i, value);
      sum += value;
      product += value * (read(x + i) - center);
    }
    write(sums, sum);
    write(products, product);
  } else {
    // In lanes, though they are in memory each time: with so many tensors the compiler would take its scalar loop.
    for (std::int64_t r = 0; r < rows; ++r)
      over_lanes(width, [&](std::int64_t c, auto lanes) {
        const std::int64_t i = r * width + c;
        Lanes value = read(g + i, lanes);
        if constexpr (kSecond) value += read(second + i, lanes);
        if constexpr (kRelu) value = read(y + i, lanes) > 0.0f ? value : Lanes{};
        if constexpr (kSecond || kRelu) write(g + i, value, lanes);
        write(sums + c, read(sums + c, lanes) + value, lanes);
        const Lanes deviation = read(x + i, lanes) - read(mean + c, lanes);
        write(products + c, read(products + c, lanes) + value * deviation, lanes);
      });
  }
}

}  // namespace rubato::kernels
