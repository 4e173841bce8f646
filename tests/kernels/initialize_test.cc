#include "kernels/initialize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace rubato::kernels {
namespace {

ParameterSpec spec_of(InitializerKind kind, float scale, std::vector<std::int64_t> shape,
                      std::string name = "conv1.weight") {
  return {.name = std::move(name), .shape = std::move(shape), .initializer = {kind, scale}};
}

std::vector<float> all_of(const ParameterSpec& spec, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(spec.elements()));
  initialize(spec, seed, 0, values);
  return values;
}

constexpr InitializerKind kKinds[] = {InitializerKind::kZeros, InitializerKind::kOnes, InitializerKind::kUniform,
                                      InitializerKind::kNormal};

TEST(Initialize, SlicesDoNotChangeAWeight) {
  for (InitializerKind kind : kKinds) {
    const ParameterSpec spec = spec_of(kind, 0.3f, {7, 11, 13});
    const std::vector<float> whole = all_of(spec, 5);
    for (std::size_t slice : {1u, 2u, 3u, 5u, 64u, 1000u}) {
      std::vector<float> pieces(whole.size());
      for (std::size_t first = 0; first < pieces.size(); first += slice) {
        initialize(spec, 5, static_cast<std::int64_t>(first),
                   std::span(pieces).subspan(first, std::min(slice, pieces.size() - first)));
      }
      EXPECT_EQ(pieces, whole) << "slices of " << slice;
    }
  }
}

TEST(Initialize, SeedAndNameDecideAndTheShapeDoesNot) {
  for (InitializerKind kind : {InitializerKind::kUniform, InitializerKind::kNormal}) {
    const std::vector<float> values = all_of(spec_of(kind, 1.0f, {100}), 5);
    EXPECT_EQ(values, all_of(spec_of(kind, 1.0f, {100}), 5));
    EXPECT_EQ(values, all_of(spec_of(kind, 1.0f, {4, 25}), 5));
    EXPECT_NE(values, all_of(spec_of(kind, 1.0f, {100}), 6));
    EXPECT_NE(values, all_of(spec_of(kind, 1.0f, {100}, "conv2.weight"), 5));
  }
}

TEST(Initialize, ConstantsAreConstant) {
  for (float value : all_of(spec_of(InitializerKind::kZeros, 7.0f, {33}), 1)) EXPECT_EQ(value, 0.0f);
  for (float value : all_of(spec_of(InitializerKind::kOnes, 7.0f, {33}), 1)) EXPECT_EQ(value, 1.0f);
}

// Sample moments of n values, each with its standard error.
void expect_moments(const std::vector<float>& values, double variance, double fourth) {
  const double n = static_cast<double>(values.size());
  double sum = 0.0, squares = 0.0, cubes = 0.0, lagged = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = values[i];
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    if (i > 0) lagged += x * static_cast<double>(values[i - 1]);
  }
  EXPECT_NEAR(sum / n, 0.0, 5.0 * std::sqrt(variance / n));
  EXPECT_NEAR(squares / n, variance, 5.0 * std::sqrt((fourth - variance * variance) / n));
  EXPECT_NEAR(cubes / n, 0.0, 5.0 * std::sqrt(15.0 * variance * variance * variance / n));
  EXPECT_NEAR(lagged / n, 0.0, 5.0 * variance / std::sqrt(n));  // neighbours share a block
}

TEST(Initialize, UniformStaysInRangeWithItsMoments) {
  const float scale = 0.173f;
  const std::vector<float> values = all_of(spec_of(InitializerKind::kUniform, scale, {400, 1000}), 3);
  for (float value : values) {
    ASSERT_GE(value, -scale);
    ASSERT_LT(value, scale);
  }
  const double s2 = static_cast<double>(scale) * scale;
  expect_moments(values, s2 / 3.0, s2 * s2 / 5.0);
}

TEST(Initialize, NormalHasItsMomentsAndTails) {
  const double s2 = 0.25;
  const std::vector<float> values = all_of(spec_of(InitializerKind::kNormal, 0.5f, {400, 1000}), 3);
  expect_moments(values, s2, 3.0 * s2 * s2);
  double beyond_two = 0.0;
  for (float value : values) beyond_two += std::abs(value) > 1.0f ? 1.0 : 0.0;
  EXPECT_NEAR(beyond_two / static_cast<double>(values.size()), 0.0455, 0.002);
}

// From a second implementation, in Python, of Philox, the key and the two formulas. A change here makes
// every job start from other weights than before.
TEST(Initialize, GoldenValues) {
  const std::vector<float> uniform = all_of(spec_of(InitializerKind::kUniform, 1.0f, {6}), 1);
  EXPECT_EQ(uniform, (std::vector<float>{0.0921705961227417f, -0.5536810159683228f, 0.33896660804748535f,
                                         -0.8573669195175171f, 0.6339709758758545f, -0.5637713670730591f}));
  const std::vector<float> normal = all_of(spec_of(InitializerKind::kNormal, 1.0f, {6}), 1);
  const std::vector<float> expected = {-0.5330466032028198f, -0.9621960520744324f, -0.17736376821994781f,
                                       -0.6105816960334778f, -1.0852526426315308f, 0.18360282480716705f};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_FLOAT_EQ(normal[i], expected[i]) << i;
}

}  // namespace
}  // namespace rubato::kernels
