// Outer rules (mode local:H) against their papers' formulas in float64, and what follows from these.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/apply_rule.h"
#include "tests/kernels/rule_fixture.h"

namespace rubato::kernels {
namespace {

using testing::HeapSlot;

Job job_with(const OuterConfig& outer) {
  Job job;
  job.consistency.mode = "local:4";
  job.cluster.workers = 5;
  job.optimizer.outer = outer;
  job.optimizer.weight_decay = 0.1;  // both are the workers'
  job.optimizer.clip_value = 0.01;
  return job;
}

// One weight, from Liu et al. 2024, algorithm 3, and Douillard et al. 2023, algorithm 1 with PyTorch's Nesterov.
struct Reference {
  OuterConfig outer;
  double w = 0.0, m = 0.0, sum = 0.0;
  int t = 0;

  void update(double delta) {
    const double e = outer.rate, b = outer.momentum, c = outer.spread, n = static_cast<double>(outer.delay);
    ++t;
    if (outer.name == "average") {
      w -= delta;
    } else if (outer.name == "nesterov") {
      m = b * m + delta;
      w -= e * (delta + b * m);
    } else {
      sum += delta;
      if (t % outer.delay == 0) {
        m = b * m + sum / n;
        w -= e * ((1.0 - c * n + c) * b * m + delta / n);
        sum = 0.0;
      } else {
        w -= e * (c * b * m + delta / n);
      }
    }
  }
};

class OuterRule : public ::testing::TestWithParam<OuterConfig> {};

TEST_P(OuterRule, ManyUpdatesStayWithinRounding) {
  const RuleConfig rule = server_rule(job_with(GetParam()));
  ParameterSpec spec;
  spec.rate_scale = 3.0;  // in the deltas already
  constexpr std::size_t kSize = 301;
  HeapSlot slot(kSize);
  testing::fill_normal(slot.weights(), 1);
  std::vector<Reference> reference(kSize, Reference{GetParam()});
  for (std::size_t i = 0; i < kSize; ++i) reference[i].w = slot.weights()[i];
  for (std::uint64_t t = 1; t <= 60; ++t) {
    const std::vector<float> delta = testing::normals(kSize, 100 + t, 0.1);
    cpu::apply_rule(rule, update_scalars(rule, spec, 123.0, 1.0, t), slot.view(), delta, slot.view());
    for (std::size_t i = 0; i < kSize; ++i) reference[i].update(delta[i]);
  }
  for (std::size_t i = 0; i < kSize; ++i)
    ASSERT_NEAR(slot.weights()[i], reference[i].w, 4e-6 * (1.0 + std::abs(reference[i].w))) << "element " << i;
}

INSTANTIATE_TEST_SUITE_P(Rules, OuterRule,
                         ::testing::Values(OuterConfig{.name = "average"}, OuterConfig{.name = "nesterov"},
                                           OuterConfig{.name = "delayed_nesterov", .delay = 1},
                                           OuterConfig{
                                               .name = "delayed_nesterov", .rate = 0.4, .momentum = 0.8, .delay = 4},
                                           OuterConfig{.name = "delayed_nesterov", .delay = 4, .spread = 0.25},
                                           OuterConfig{.name = "delayed_nesterov", .delay = 7, .spread = 0.1}),
                         [](const auto& rule) { return rule.param.name + std::to_string(rule.index); });

// N updates under it move the weights as one of nesterov does by the mean of the N deltas.
TEST(DelayedNesterov, IsNesterovOfTheMeanWhateverTheSpread) {
  constexpr std::uint64_t kDelay = 4, kRounds = 12;
  const RuleConfig nesterov = server_rule(job_with({.name = "nesterov"}));
  for (const double spread : {0.0, 0.1, 0.25}) {
    const RuleConfig delayed = server_rule(job_with({.name = "delayed_nesterov", .delay = kDelay, .spread = spread}));
    HeapSlot slot(1), at_once(1);
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      float mean = 0.0f;
      for (std::uint64_t i = 1; i <= kDelay; ++i) {
        const std::vector<float> delta = testing::normals(1, 7 * round + i);
        mean += delta[0] / kDelay;
        cpu::apply_rule(delayed, update_scalars(delayed, {}, 0.0, 1.0, kDelay * round + i), slot.view(), delta,
                        slot.view());
      }
      cpu::apply_rule(nesterov, update_scalars(nesterov, {}, 0.0, 1.0, round + 1), at_once.view(), {&mean, 1},
                      at_once.view());
      if (spread == 0.0) {
        EXPECT_NEAR(slot.weights()[0], at_once.weights()[0], 1e-5) << "round " << round;
      }
      EXPECT_NEAR(slot.plane(1)[0], at_once.plane(1)[0], 1e-5) << "round " << round;  // the momentum
    }
  }
}

TEST(ServerRule, IsTheOptimizersWhereThereAreNoLocalSteps) {
  Job job = job_with({.name = "delayed_nesterov"});
  EXPECT_EQ(server_rule(job).kind, RuleKind::kDelayedNesterov);
  EXPECT_EQ(server_rule(job).delay, 5) << "as many as there are workers";
  EXPECT_TRUE(server_rule(job).outer());
  job.consistency.mode = "ssp:4";
  EXPECT_EQ(server_rule(job), make_rule(job.optimizer).value());
  EXPECT_FALSE(server_rule(job).outer());
}

}  // namespace
}  // namespace rubato::kernels
