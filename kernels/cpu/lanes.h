// As many floats at a time as a register holds, in the compiler's own vectors: sixteen where the processor has AVX-512.
// (Of wider ones than the processor has GCC 12 computes what depends on a comparison one number at a time: max pooling
// took five to six times as long with sixteen on AVX2.) For loops that a compiler does not vectorize by itself: sums,
// whose order it may not change, and the exponential function, which is a call.
//
// A loop over n numbers is written once, for `Full` lanes and for the `Part` that is left; a part's other lanes are
// read as zero and not written. Sums over lanes have a fixed order, so bits do not depend on the number of threads.
//
// Sources that include this are compiled with contraction: see kernels/cpu/CMakeLists.txt.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>
#include <cstring>

namespace rubato::kernels {

#if defined(__AVX512F__)
inline constexpr std::int64_t kLanes = 16;
#elif defined(__AVX2__)
inline constexpr std::int64_t kLanes = 8;
#else
inline constexpr std::int64_t kLanes = 4;
#endif
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
using IntLanes = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

struct Full {};
struct Part {
  std::int64_t count = 0;
};

inline Lanes read(const float* from, Full = {}) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
inline Lanes read(const float* from, Part part) {
  Lanes lanes{};
  for (std::int64_t i = 0; i < part.count; ++i) lanes[i] = from[i];
  return lanes;
}
inline void write(float* to, const Lanes& lanes, Full = {}) { std::memcpy(to, &lanes, sizeof lanes); }
inline void write(float* to, const Lanes& lanes, Part part) {
  for (std::int64_t i = 0; i < part.count; ++i) to[i] = lanes[i];
}
// `other` in the lanes that a part leaves out.
inline Lanes keep(const Lanes& lanes, Full, float /*other*/ = 0.0f) { return lanes; }
inline Lanes keep(const Lanes& lanes, Part part, float other = 0.0f) {
  constexpr std::int32_t kIndices[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  IntLanes index;
  std::memcpy(&index, kIndices, sizeof index);
  return index < static_cast<std::int32_t>(part.count) ? lanes : Lanes{} + other;
}

// body(index of the first, Full or Part).
template <typename Body>
inline void over_lanes(std::int64_t count, const Body& body) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, Full{});
  if (i < count) body(i, Part{count - i});
}

inline float sum_of(const Lanes& lanes) {
  float folded[kLanes];
  std::memcpy(folded, &lanes, sizeof lanes);
  for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::int64_t i = 0; i < width; ++i) folded[i] += folded[i + width];
  }
  return folded[0];
}

inline Lanes max_of(const Lanes& a, const Lanes& b) { return a > b ? a : b; }

inline float max_of(const Lanes& lanes) {
  float folded[kLanes];
  std::memcpy(folded, &lanes, sizeof lanes);
  for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::int64_t i = 0; i < width; ++i) folded[i] = folded[i + width] > folded[i] ? folded[i + width] : folded[i];
  }
  return folded[0];
}

// e^x for x <= 88, within 2 units of the last place; below -87, where the result would be denormal, e^-87; NaN of NaN.
// By e^x = 2^n e^r with |r| <= ln 2 / 2, and the polynomial of the Cephes library's expf for e^r.
inline Lanes exp_of(Lanes x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  x = x < -87.0f ? Lanes{} - 87.0f : x;
  const Lanes shifted = x * 1.44269504f + kRound;
  const Lanes n = shifted - kRound;
  const Lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const Lanes e = p * (r * r) + r + 1.0f;
  IntLanes bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3F800000;
  Lanes power;
  std::memcpy(&power, &bits, sizeof power);
  return e * power;
}

inline Lanes magnitude_of(const Lanes& x) { return x < 0.0f ? -x : x; }

// 1 / (1 + e^-x). The exponential is of a negative number on both sides, so that none overflows.
inline Lanes sigmoid_of(const Lanes& x) {
  const Lanes e = exp_of(-magnitude_of(x));
  return (x < 0.0f ? e : Lanes{} + 1.0f) / (e + 1.0f);
}

// Near zero, where (1 - e) / (1 + e) would lose digits, by the polynomial of the Cephes library's tanhf.
inline Lanes tanh_of(const Lanes& x) {
  const Lanes magnitude = magnitude_of(x), e = exp_of(-2.0f * magnitude), square = x * x;
  Lanes p = square * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const Lanes near = p * square * x + x, far = (1.0f - e) / (e + 1.0f);
  return magnitude < 0.625f ? near : (x < 0.0f ? -far : far);
}

}  // namespace rubato::kernels
