// What pushes bring to an update's gradient: against the formulas in float64, and by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/apply_rule.h"
#include "tests/kernels/rule_fixture.h"

namespace rubato::kernels {
namespace {

const std::vector<std::size_t> kSizes = {1, 7, 16, 33, 1000, 4099};

Compensation compensation_of(CompensationKind kind, double lambda) {
  return {.kind = kind, .lambda = lambda, .decay = 0.9};
}

class GradientParts : public ::testing::TestWithParam<CompensationKind> {};

// Four pushes of other workers, weights and samples, one after the other into one sum.
TEST_P(GradientParts, AddUpToTheirFormulaInFloat64) {
  const Compensation compensation = compensation_of(GetParam(), 0.7);
  for (const std::size_t size : kSizes) {
    SCOPED_TRACE(size);
    const std::vector<float> weights = testing::normals(size, 1);
    std::vector<float> sum(size, std::nanf("")), mean_square(size, 0.0f), next(size);
    std::vector<double> expected(size), square(size);
    for (std::uint64_t push = 0; push < 4; ++push) {
      const std::uint64_t samples = 1 + 5 * push;
      const double factor = 1.0 / static_cast<double>(push + 1), n = static_cast<double>(samples);
      const std::vector<float> gradient = testing::normals(size, 10 + push, 3.0 * n),
                               read = testing::normals(size, 20 + push);
      cpu::add_part(compensation, {gradient, samples, factor, weights, read, push == 0 ? mean_square : next, next}, sum,
                    push == 0);
      for (std::size_t i = 0; i < size; ++i) {
        const double g = static_cast<double>(gradient[i]) / n;
        square[i] = 0.9 * square[i] + 0.1 * g * g;
        double lambda = 0.0;
        if (GetParam() == CompensationKind::kConstant) lambda = 0.7;
        if (GetParam() == CompensationKind::kAdaptive) lambda = 0.7 / std::sqrt(square[i] + 1e-7);
        const double moved = static_cast<double>(weights[i]) - static_cast<double>(read[i]);
        expected[i] += factor * n * (g + lambda * g * g * moved);
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      ASSERT_NEAR(sum[i], expected[i], 1e-4 * (1.0 + std::abs(expected[i]))) << "element " << i;
      if (GetParam() == CompensationKind::kAdaptive) {
        ASSERT_NEAR(next[i], square[i], 1e-5 * (1.0 + square[i]));
      }
    }
  }
}

// Whatever its size: a product that overflows must not make an infinity of no way at all.
TEST_P(GradientParts, WhoseWeightsHaveNotMovedKeepTheirBits) {
  const Compensation compensation = compensation_of(GetParam(), 2.0);
  std::vector<float> gradient = testing::normals(257, 3);
  gradient[5] = 3e38f;
  gradient[6] = -1e25f;
  gradient[7] = 1e-42f;
  gradient[8] = 0.0f;
  const std::vector<float> weights = testing::normals(257, 4);
  std::vector<float> sum(257), square(257);
  cpu::add_part(compensation, {gradient, 3, 1.0, weights, weights, square, square}, sum, true);
  EXPECT_EQ(sum, gradient);
}

TEST_P(GradientParts, MustFitEachOther) {
  const Compensation compensation = compensation_of(GetParam(), 1.0);
  std::vector<float> values(8), sum(8), shorter(7);
  EXPECT_DEATH(cpu::add_part(compensation, {values, 1, 1.0, values, values, values, values}, shorter, true),
               "8 gradients of 1 samples for a sum of 7");
  if (GetParam() == CompensationKind::kNone) return;
  EXPECT_DEATH(cpu::add_part(compensation, {values, 1, 1.0, values, shorter, values, values}, sum, true), "7 before");
}

INSTANTIATE_TEST_SUITE_P(Kinds, GradientParts,
                         ::testing::Values(CompensationKind::kNone, CompensationKind::kConstant,
                                           CompensationKind::kAdaptive));

// 2 samples of mean gradient 3 on weights of 1, which are 1.5 by now.
TEST(GradientPartByHand, IsTheSumOfTheCompensatedMean) {
  const float gradient = 6.0f, weight = 1.5f, read = 1.0f;
  float square = 0.5f, sum = 0.0f;
  const auto part = [&](CompensationKind kind) {
    const GradientPart push{{&gradient, 1}, 2, 1.0, {&weight, 1}, {&read, 1}, {&square, 1}, {&square, 1}};
    cpu::add_part(compensation_of(kind, 0.2), push, {&sum, 1}, true);
    return sum;
  };
  EXPECT_EQ(part(CompensationKind::kNone), 6.0f);
  EXPECT_FLOAT_EQ(part(CompensationKind::kConstant), 2 * (3 + 0.2f * 9 * 0.5f));
  EXPECT_FLOAT_EQ(part(CompensationKind::kAdaptive), 2 * (3 + 0.2f / std::sqrt(1.35f) * 9 * 0.5f));
  EXPECT_FLOAT_EQ(square, 0.9f * 0.5f + 0.1f * 9);
}

}  // namespace
}  // namespace rubato::kernels
