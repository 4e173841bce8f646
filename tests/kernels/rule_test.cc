// What the rules compute: against textbook formulas in float64, and against sequences worked out by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/apply_rule.h"
#include "tests/kernels/rule_fixture.h"

namespace rubato::kernels {
namespace {

using testing::HeapSlot;

// One weight under one rule, written from the papers and not from kernels/update_rule.h.
struct Reference {
  OptimizerConfig optimizer;
  double w = 0.0, velocity = 0.0, mean = 0.0, square = 0.0;
  int t = 0;

  void update(double gradient, double rate, double scale, double age) {
    const double age_factor = 1.0 / std::max(1.0, age);
    ++t;
    double g = gradient * scale;
    if (optimizer.clip_value > 0.0) g = std::clamp(g, -optimizer.clip_value, optimizer.clip_value);
    if (optimizer.name == "adamw") {
      w -= rate * optimizer.weight_decay * w;
    } else if (optimizer.name == "adam") {
      g += optimizer.weight_decay * w;
    } else {
      g = g * age_factor + optimizer.weight_decay * w;
    }
    if (optimizer.name == "sgd") {
      w -= rate * g;
    } else if (optimizer.name == "momentum") {
      velocity = optimizer.momentum * velocity + g;
      w -= rate * velocity;
    } else if (optimizer.name == "nesterov") {
      velocity = optimizer.momentum * velocity + g;
      w -= rate * (g + optimizer.momentum * velocity);
    } else {
      mean = optimizer.beta1 * mean + (1.0 - optimizer.beta1) * g;
      square = optimizer.beta2 * square + (1.0 - optimizer.beta2) * g * g;
      const double mean_hat = mean / (1.0 - std::pow(optimizer.beta1, t));
      const double square_hat = square / (1.0 - std::pow(optimizer.beta2, t));
      w -= rate * age_factor * mean_hat / (std::sqrt(square_hat) + optimizer.epsilon);
    }
  }
};

class RuleAgainstReference : public ::testing::TestWithParam<std::string> {};

TEST_P(RuleAgainstReference, ManyUpdatesStayWithinRounding) {
  OptimizerConfig optimizer = testing::optimizer_named(GetParam());
  optimizer.weight_decay = 0.02;
  optimizer.clip_value = 1.2;
  optimizer.age_scaling = "inverse";
  const RuleConfig rule = make_rule(optimizer).value();
  constexpr std::size_t kSize = 1003;
  constexpr int kUpdates = 50;

  HeapSlot slot(kSize);
  testing::fill_normal(slot.weights(), 1);
  std::vector<Reference> reference(kSize, Reference{optimizer});
  for (std::size_t i = 0; i < kSize; ++i) reference[i].w = slot.weights()[i];

  for (int t = 1; t <= kUpdates; ++t) {
    const double rate = 0.01 / t, scale = 1.0 / 32.0;
    const std::vector<float> gradient = testing::normals(kSize, 100 + static_cast<std::uint64_t>(t), 32.0);
    const auto count = static_cast<std::uint64_t>(t), age = count % 5;
    cpu::apply_rule(rule, update_scalars(rule, {}, rate, scale, count, rule.age_factor(age)), slot.view(), gradient,
                    slot.view());
    for (std::size_t i = 0; i < kSize; ++i) reference[i].update(gradient[i], rate, scale, static_cast<double>(age));
  }
  for (std::size_t i = 0; i < kSize; ++i) {
    ASSERT_NEAR(slot.weights()[i], reference[i].w, 2e-6 * (1.0 + std::abs(reference[i].w))) << "element " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, RuleAgainstReference, ::testing::ValuesIn(testing::kRuleNames),
                         [](const auto& rule) { return rule.param; });

// The weight after each update of a single weight by the gradients given.
std::vector<float> trajectory(const OptimizerConfig& optimizer, float weight, double rate,
                              const std::vector<float>& gradients, const ParameterSpec& spec = {}) {
  const RuleConfig rule = make_rule(optimizer).value();
  HeapSlot slot(1);
  slot.weights()[0] = weight;
  std::vector<float> weights;
  for (const float& gradient : gradients) {
    cpu::apply_rule(rule, update_scalars(rule, spec, rate, 1.0, weights.size() + 1), slot.view(), {&gradient, 1},
                    slot.view());
    weights.push_back(slot.weights()[0]);
  }
  return weights;
}

void expect_near(const std::vector<float>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 2e-7) << "update " << i + 1;
}

TEST(RuleByHand, SgdAddsDecayToTheGradient) {
  OptimizerConfig optimizer = testing::optimizer_named("sgd");
  optimizer.weight_decay = 0.1;
  // 1 - 0.1 (0.5 + 0.1 * 1), then 0.94 - 0.1 (0.5 + 0.1 * 0.94)
  expect_near(trajectory(optimizer, 1.0f, 0.1, {0.5f, 0.5f}), {0.94, 0.8806});
}

TEST(RuleByHand, MomentumIsPytorchsHeavyBall) {
  // v: 1, 1.9, 2.71, 2.439
  expect_near(trajectory(testing::optimizer_named("momentum"), 0.0f, 0.1, {1.0f, 1.0f, 1.0f, 0.0f}),
              {-0.1, -0.29, -0.561, -0.8049});
}

TEST(RuleByHand, NesterovIsPytorchsForm) {
  // v as above; the step is g + 0.9 v: 1.9, 2.71, 3.439
  expect_near(trajectory(testing::optimizer_named("nesterov"), 0.0f, 0.1, {1.0f, 1.0f, 1.0f}),
              {-0.19, -0.461, -0.8049});
}

TEST(RuleByHand, AdamMovesByTheRateUnderAConstantGradient) {
  // Both corrected moments are exact then: m / (1 - b1^t) = g and v / (1 - b2^t) = g^2 for every t.
  for (float gradient : {1e-3f, 1.0f, 250.0f}) {
    expect_near(trajectory(testing::optimizer_named("adam"), 0.0f, 0.01, {gradient, gradient, gradient, gradient}),
                {-0.01 / (1.0 + 1e-8 / gradient), -0.02 / (1.0 + 1e-8 / gradient), -0.03 / (1.0 + 1e-8 / gradient),
                 -0.04 / (1.0 + 1e-8 / gradient)});
  }
}

TEST(RuleByHand, AdamAfterTheGradientTurns) {
  // m = 0.9 * 0.1 - 0.1 = -0.01, corrected by 0.19; v = 0.001999, corrected to 1.
  expect_near(trajectory(testing::optimizer_named("adam"), 0.0f, 0.1, {1.0f, -1.0f}), {-0.1, -0.1 + 0.1 * 0.01 / 0.19});
}

TEST(RuleByHand, AdamAddsEpsilonAfterTheRoot) {
  OptimizerConfig optimizer = testing::optimizer_named("adam");
  optimizer.epsilon = 1.0;
  expect_near(trajectory(optimizer, 0.0f, 0.1, {3.0f}), {-0.1 * 3.0 / (3.0 + 1.0)});
}

TEST(RuleByHand, AdamwDecaysApartFromTheGradient) {
  OptimizerConfig optimizer = testing::optimizer_named("adamw");
  optimizer.weight_decay = 0.1;
  // 1 (1 - 0.01 * 0.1) - 0.01; then the same again
  expect_near(trajectory(optimizer, 1.0f, 0.01, {1.0f, 1.0f}), {0.989, 0.989 * 0.999 - 0.01});
  // In adam the decay goes through the moments, and the first step is the rate all the same.
  optimizer.name = "adam";
  expect_near(trajectory(optimizer, 1.0f, 0.01, {1.0f}), {0.99});
}

TEST(RuleByHand, AParameterCanBeExemptFromDecayAndHaveItsOwnRate) {
  ParameterSpec bias;
  bias.decay = 0.0;
  bias.rate_scale = 2.0;
  OptimizerConfig optimizer = testing::optimizer_named("sgd");
  optimizer.weight_decay = 0.5;
  expect_near(trajectory(optimizer, 1.0f, 0.1, {1.0f}, bias), {0.8});
  // Decoupled decay follows the parameter's rate, as PyTorch's does in a parameter group.
  optimizer.name = "adamw";
  expect_near(trajectory(optimizer, 1.0f, 0.1, {1.0f}, bias), {0.8});
  bias.decay = kUsualDecay;
  expect_near(trajectory(optimizer, 1.0f, 0.1, {1.0f}, bias), {1.0 - 0.2 * 0.5 - 0.2});
}

TEST(RuleByHand, ScaleComesBeforeClipAndClipBeforeDecay) {
  OptimizerConfig optimizer = testing::optimizer_named("sgd");
  optimizer.clip_value = 1.0;
  optimizer.weight_decay = 0.5;
  const RuleConfig rule = make_rule(optimizer).value();
  HeapSlot slot(3);
  std::ranges::fill(slot.weights(), 4.0f);
  const std::vector<float> gradient = {8.0f, 1.0f, -80.0f};
  cpu::apply_rule(rule, update_scalars(rule, {}, 1.0, 0.25, 1), slot.view(), gradient, slot.view());
  EXPECT_EQ(slot.weights()[0], 4.0f - (1.0f + 2.0f));
  EXPECT_EQ(slot.weights()[1], 4.0f - (0.25f + 2.0f));
  EXPECT_EQ(slot.weights()[2], 4.0f - (-1.0f + 2.0f));
}

// A gradient of age 4 at rate 0.4, and weights of 1 that decay by 0.5 an update.
TEST(RuleByHand, AgeDividesTheRateOfTheGradientAndNotThatOfDecay) {
  const auto after = [](const std::string& name, double age_factor) {
    OptimizerConfig optimizer = testing::optimizer_named(name);
    optimizer.weight_decay = 0.5;
    optimizer.clip_value = 1.0;
    const RuleConfig rule = make_rule(optimizer).value();
    HeapSlot slot(1);
    slot.weights()[0] = 1.0f;
    const float gradient = 2.0f;
    cpu::apply_rule(rule, update_scalars(rule, {}, 0.4, 1.0, 1, age_factor), slot.view(), {&gradient, 1}, slot.view());
    return slot.weights()[0];
  };
  EXPECT_NEAR(after("sgd", 0.25), 1 - 0.4 * (1 * 0.25 + 0.5), 1e-7) << "clipped before";
  EXPECT_NEAR(after("momentum", 0.25), 1 - 0.4 * (1 * 0.25 + 0.5), 1e-7);
  EXPECT_NEAR(after("nesterov", 0.25), 1 - 0.4 * 1.9 * (1 * 0.25 + 0.5), 1e-7);
  EXPECT_NEAR(after("adamw", 0.25), 1 - 0.4 * 0.5 - 0.4 * 0.25, 1e-7) << "the step alone";
  EXPECT_NEAR(after("adam", 0.25), 1 - 0.4 * 0.25, 1e-7) << "its decay is part of what it normalizes";
}

TEST(RuleByHand, AdamIsFiniteAfterVeryManyUpdatesAndWithoutGradient) {
  const RuleConfig rule = make_rule(testing::optimizer_named("adam")).value();
  HeapSlot slot = testing::trained_slot(64, 3);
  const std::vector<float> nothing(64, 0.0f);
  cpu::apply_rule(rule, update_scalars(rule, {}, 1e-3, 1.0, 1ull << 40), slot.view(), nothing, slot.view());
  EXPECT_TRUE(cpu::all_finite(slot.weights()));

  HeapSlot fresh(64);  // 0 / (sqrt(0) + epsilon)
  cpu::apply_rule(rule, update_scalars(rule, {}, 1e-3, 1.0, 1), fresh.view(), nothing, fresh.view());
  for (float weight : fresh.weights()) EXPECT_EQ(weight, 0.0f);
}

}  // namespace
}  // namespace rubato::kernels
