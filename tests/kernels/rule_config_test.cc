#include "kernels/rule_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <utility>

#include "base/job.h"
#include "tests/kernels/rule_fixture.h"

namespace rubato::kernels {
namespace {

using ::testing::HasSubstr;

TEST(MakeRule, KnowsEveryRuleAndItsState) {
  const std::size_t planes[] = {0, 1, 1, 2, 2};
  for (std::size_t i = 0; i < testing::kRuleNames.size(); ++i) {
    const Result<RuleConfig> rule = make_rule(testing::optimizer_named(testing::kRuleNames[i]));
    ASSERT_TRUE(rule.ok());
    EXPECT_EQ(rule_name(rule->kind), testing::kRuleNames[i]);
    EXPECT_EQ(state_planes(rule->kind), planes[i]);
  }
}

TEST(MakeRule, RefusesAnUnknownName) {
  const Result<RuleConfig> rule = make_rule(testing::optimizer_named("lamb"));
  ASSERT_FALSE(rule.ok());
  EXPECT_EQ(rule.error().cause, Cause::kUsage);
  EXPECT_THAT(rule.error().message, HasSubstr("\"lamb\""));
}

TEST(MakeRule, RefusesConstantsOutOfRange) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto refusal = [](double OptimizerConfig::*key, double value) {
    OptimizerConfig optimizer;
    optimizer.*key = value;
    const Result<RuleConfig> rule = make_rule(optimizer);
    return rule.ok() ? std::string() : rule.error().message;
  };
  for (double value : {-0.1, 1.0, 1.5, kNan}) {
    EXPECT_THAT(refusal(&OptimizerConfig::momentum, value), HasSubstr("optimizer.momentum"));
    EXPECT_THAT(refusal(&OptimizerConfig::beta1, value), HasSubstr("optimizer.beta1"));
    EXPECT_THAT(refusal(&OptimizerConfig::beta2, value), HasSubstr("optimizer.beta2"));
  }
  for (double value : {-1.0, kNan, std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(refusal(&OptimizerConfig::weight_decay, value), HasSubstr("optimizer.weight_decay"));
    EXPECT_THAT(refusal(&OptimizerConfig::clip_value, value), HasSubstr("optimizer.clip_value"));
  }
  for (double value : {0.0, -1e-8, 1e-60, kNan}) {
    EXPECT_THAT(refusal(&OptimizerConfig::epsilon, value), HasSubstr("optimizer.epsilon"));
  }
}

TEST(MakeRule, TakesAgesAndCompensation) {
  OptimizerConfig optimizer;
  EXPECT_FALSE(make_rule(optimizer)->compensates());
  EXPECT_EQ(make_rule(optimizer)->age_factor(9), 1.0);
  optimizer.age_scaling = "inverse";
  for (const auto& [age, factor] : {std::pair{0, 1.0}, {1, 1.0}, {2, 0.5}, {8, 0.125}})
    EXPECT_EQ(make_rule(optimizer)->age_factor(static_cast<std::uint64_t>(age)), factor);
  optimizer.compensation.name = "constant";
  EXPECT_EQ(make_rule(optimizer)->compensation.lambda, 0.04) << "the paper's, if none is given";
  EXPECT_TRUE(make_rule(optimizer)->compensates() && !make_rule(optimizer)->keeps_mean_square());
  optimizer.compensation.name = "adaptive";
  EXPECT_EQ(make_rule(optimizer)->compensation.lambda, 2.0);
  EXPECT_TRUE(make_rule(optimizer)->keeps_mean_square());
  optimizer.compensation.lambda = 0.5;
  EXPECT_EQ(make_rule(optimizer)->compensation.lambda, 0.5);
}

TEST(MakeRule, RefusesOtherAgesAndCompensations) {
  OptimizerConfig optimizer;
  optimizer.age_scaling = "sqrt";
  EXPECT_THAT(make_rule(optimizer).error().message, HasSubstr("optimizer.age_scaling = \"sqrt\""));
  optimizer.age_scaling = "none";
  optimizer.compensation.name = "hessian";
  EXPECT_THAT(make_rule(optimizer).error().message, HasSubstr("optimizer.compensation.name = \"hessian\""));
  optimizer.compensation = {"adaptive", -1.0, 0.5};
  EXPECT_THAT(make_rule(optimizer).error().message, HasSubstr("optimizer.compensation.lambda"));
  optimizer.compensation = {"adaptive", 1.0, 1.0};
  EXPECT_THAT(make_rule(optimizer).error().message, HasSubstr("optimizer.compensation.decay"));
}

TEST(RuleFor, ARunningMeanKnowsNoRate) {
  const RuleConfig adam{.kind = RuleKind::kAdam, .weight_decay = 0.5, .clip_value = 1.0, .age_scaling = true};
  ParameterSpec spec;
  EXPECT_EQ(rule_for(adam, spec), adam);
  spec.average = 0.1f;
  const RuleConfig rule = rule_for(adam, spec);
  EXPECT_EQ(rule, RuleConfig{});
  const UpdateScalars scalars = update_scalars(rule, spec, 0.3, 0.125, 9);
  EXPECT_EQ(scalars.rate, -static_cast<double>(0.1f));
  EXPECT_EQ(scalars.decay, -1.0);
  EXPECT_EQ(scalars.gradient_scale, 0.125);
  EXPECT_EQ(scalars.clip_value, 0.0);
  const RuleConfig outer = rule_for({.kind = RuleKind::kNesterov, .own_rate = 0.7}, spec);
  EXPECT_EQ(outer, (RuleConfig{.own_rate = 1.0}));
  EXPECT_EQ(update_scalars(outer, spec, 0.3, 0.125, 9).rate, 1.0);
}

TEST(UpdateScalars, TakeTheParametersExceptions) {
  OptimizerConfig optimizer;
  optimizer.weight_decay = 0.25;
  optimizer.clip_value = 3.0;
  const RuleConfig rule = make_rule(optimizer).value();
  ParameterSpec spec;
  spec.rate_scale = 0.5;
  UpdateScalars scalars = update_scalars(rule, spec, 0.1, 0.125, 9);
  EXPECT_EQ(scalars.rate, 0.05);
  EXPECT_EQ(scalars.gradient_scale, 0.125);
  EXPECT_EQ(scalars.clip_value, 3.0);
  EXPECT_EQ(scalars.decay, 0.25);
  EXPECT_EQ(scalars.update_count, 9u);
  spec.decay = 0.0;
  EXPECT_EQ(update_scalars(rule, spec, 0.1, 0.125, 9).decay, 0.0);
  spec.decay = 0.75;
  EXPECT_EQ(update_scalars(rule, spec, 0.1, 0.125, 9).decay, 0.75);
}

}  // namespace
}  // namespace rubato::kernels
