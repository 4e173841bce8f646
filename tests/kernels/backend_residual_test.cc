// The contract of what residual networks are made of beside convolutions, on every device: outputs and gradients
// against a reference that brings its tolerance along (tests/kernels/rounded.h), over ragged shapes; derivatives by
// finite differences of it (tests/kernels/differentiated.h).
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "tests/kernels/differentiated.h"
#include "tests/kernels/planned_op.h"
#include "tests/kernels/residual_reference.h"

namespace rubato::kernels {
namespace {

using reference::Dual;
using reference::Duals;
using reference::Values;

struct Case {
  std::string name;
  OpDesc desc;
};

std::vector<Case> cases() {
  using A = Activation;
  return {{"batch norm", BatchNormDesc{{3, 4, 5, 7}}},
          {"batch norm of one pixel", BatchNormDesc{{6, 1, 1, 5}, 1e-3}},
          {"batch norm, ReLU", BatchNormDesc{{2, 5, 4, 16}, 1e-5, A::kRelu}},
          {"batch norm and add", BatchNormDesc{{2, 3, 3, 33}, 1e-5, A::kNone, true}},
          {"batch norm and add, ReLU", BatchNormDesc{{4, 3, 2, 19}, 1e-5, A::kRelu, true}},
          {"batch norm, several chunks", BatchNormDesc{{1, 70, 70, 8}, 1e-5, A::kRelu, true}},
          {"batch norm of blocks", BatchNormDesc{{3, 5, 4, 32}, 1e-5, A::kRelu, true}},
          {"batch norm of blocks, several chunks", BatchNormDesc{{3, 37, 41, 16}}},
          {"global average of blocks", GlobalAverageDesc{{3, 4, 5, 48}}},
          {"add of blocks", AddDesc{{3, 5, 4, 32}, A::kRelu}},
          {"add", AddDesc{{3, 5, 4, 7}}},
          {"add, ReLU, several blocks", AddDesc{{3, 50, 60, 2}, A::kRelu}},
          {"global average", GlobalAverageDesc{{3, 4, 5, 17}}},
          {"global average of one pixel", GlobalAverageDesc{{2, 1, 1, 5}}}};
}

// Normalizations that go by their running means in training, too.
std::vector<Case> fixed_cases() {
  std::vector<Case> fixed;
  for (Case c : cases())
    if (auto* norm = std::get_if<BatchNormDesc>(&c.desc)) {
      norm->fixed = true;
      fixed.push_back(c);
    }
  return fixed;
}

PlannedOp planned(Device& device, const OpDesc& desc, const PlanHint& hint = {}, float fill = -7.0f) {
  PlannedOp run(device, desc, hint, fill);
  if (std::holds_alternative<BatchNormDesc>(desc))
    for (float& variance : run.parameters[3]) variance = std::abs(variance) + 0.1f;
  return run;
}

Differentiated reference_of(const OpDesc& desc, const PlannedOp& run, bool training = true) {
  return {run, [desc, training](const Values& values) { return reference::residual_outputs(desc, values, training); }};
}

// Over thousands of numbers the bound for any order of a sum, n roundings, lets mistakes pass. There a rounding is
// taken to be as often up as down: 8 sqrt(n) of them, which fails one time in 10^13 (Higham and Mary, "A new approach
// to probabilistic rounding error analysis", 2019, theorem 2.4).
// And there the reference's own derivative is taken: of thousands of outputs one may lie within a step h of ReLU's
// corner.
void check_gradient(Differentiated& expected, std::size_t which, const std::vector<float>& got) {
  const std::size_t inputs = expected.values()[0].size();
  const bool many = inputs > 10'000;
  const double share = many ? 8.0 / std::sqrt(static_cast<double>(inputs / expected.values()[1].size())) : 1.0;
  for (const std::size_t i : some_of(many ? std::min<std::size_t>(got.size(), 30) : got.size())) {
    const reference::Rounded slope = expected.slope(which, i);
    const double allowed = 2.0 * share * slope.error + 1e-7;
    ASSERT_LT(allowed, many ? 0.5 : 1e-2) << "a bound that would let mistakes pass: value " << which << ", " << i;
    ASSERT_NEAR(got[i], many ? slope.value : expected.finite_difference(which, i), allowed)
        << "value " << which << ", element " << i;
  }
}

class BackendResidual : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(Devices, BackendResidual, kDevices, device_test_name);

TEST_P(BackendResidual, OutputsAndGradientsAgreeWithTheReference) {
  std::vector<Case> all = cases();
  std::ranges::move(fixed_cases(), std::back_inserter(all));
  for (const Case& c : all) {
    for (const PlanHint& hint : hints_for(*device_, c.desc)) {
      SCOPED_TRACE(testing::Message() << c.name << ", " << hint);
      PlannedOp run = planned(*device_, c.desc, hint);
      Differentiated expected = reference_of(c.desc, run);
      run.forward();
      check_outputs(run, expected);
      run.backward();
      check_gradient(expected, 0, run.input_gradient.values());
      if (run.has_addend) check_gradient(expected, expected.values().size() - 1, run.output_gradient.values());
      if (std::holds_alternative<BatchNormDesc>(c.desc))
        for (const std::size_t i : {0u, 1u}) check_gradient(expected, i + 1, run.gradients[i]);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(BackendResidual, EvaluationReadsTheRunningMeans) {
  for (const Case& c : cases()) {
    for (const PlanHint& hint : hints_for(*device_, c.desc, false)) {
      SCOPED_TRACE(testing::Message() << c.name << ", " << hint);
      PlannedOp run = planned(*device_, c.desc, hint);
      EXPECT_EQ(run.op->info().saved_bytes, 0u);
      run.forward();
      check_outputs(run, reference_of(c.desc, run, false));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(BackendResidual, FixedItGivesInTrainingWhatItGivesInEvaluation) {
  for (const Case& c : fixed_cases()) {
    SCOPED_TRACE(c.name);
    PlannedOp training = planned(*device_, c.desc), evaluation = planned(*device_, c.desc, {.training = false});
    training.forward();
    evaluation.forward();
    EXPECT_EQ(training.output.values(), evaluation.output.values());
  }
}

// Samples times the mean; samples times the variance over one row less.
TEST_P(BackendResidual, RunningMeansArePushedForAllSamples) {
  for (const Case& c : cases()) {
    const auto* desc = std::get_if<BatchNormDesc>(&c.desc);
    if (desc == nullptr) continue;
    SCOPED_TRACE(c.name);
    PlannedOp run = planned(*device_, c.desc);
    run.forward();
    run.backward();
    const auto channels = static_cast<std::size_t>(desc->input.channels);
    const Dual samples(static_cast<double>(desc->input.samples));
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const auto own = reference::statistics_of(Duals(run.x.begin(), run.x.end()), channels, channel);
      const Dual mean = samples * own.mean;
      const Dual variance = samples * own.variance * Dual(own.rows / (own.rows - 1.0));
      ASSERT_NEAR(run.gradients[2][channel], mean.value.value, mean.value.error);
      ASSERT_NEAR(run.gradients[3][channel], variance.value.value, variance.value.error);
    }
  }
}

// Its variance over one row less does not exist: the running one is pushed for itself, which leaves it where it is.
TEST_P(BackendResidual, ASingleRowHasNoVarianceAndLeavesTheRunningOne) {
  PlannedOp run = planned(*device_, BatchNormDesc{{1, 1, 1, 3}});
  run.forward();
  run.backward();
  EXPECT_EQ(run.output.values(), run.parameters[1]);
  EXPECT_THAT(run.input_gradient.values(), testing::Each(0.0f));
  EXPECT_EQ(run.gradients[2], run.x);
  EXPECT_EQ(run.gradients[3], run.parameters[3]);
}

TEST_P(BackendResidual, ASecondGradientIsAddedFirst) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    PlannedOp both = planned(*device_, c.desc), sum = planned(*device_, c.desc);
    if (!both.op->info().adds_gradients) continue;
    const std::vector<float> more = random_floats(both.r.size(), "second gradient");
    const DeviceFloats second(*device_, more);
    both.bind(second.data());
    std::vector<float> total = sum.r;
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += more[i];
    ASSERT_TRUE(device_->copy_in(sum.output_gradient.data(), total).ok());
    for (PlannedOp* run : {&both, &sum}) {
      run->forward();
      run->backward();
    }
    EXPECT_EQ(both.input_gradient.values(), sum.input_gradient.values());
    EXPECT_EQ(both.output_gradient.values(), sum.output_gradient.values());
    EXPECT_EQ(both.gradients, sum.gradients);
  }
}

TEST_P(BackendResidual, DevicesAdd) {
  const std::vector<float> from = random_floats(40'001, "from");
  std::vector<float> want = random_floats(from.size(), "to");
  const DeviceFloats a(*device_, want), b(*device_, from);
  ASSERT_TRUE(device_->add(a.data(), b.data(), from.size()).ok());
  for (std::size_t i = 0; i < want.size(); ++i) want[i] += from[i];
  EXPECT_EQ(a.values(), want);
}

TEST_P(BackendResidual, BitsDoNotDependOnHistory) {
  for (const Case& c : cases()) {
    for (const PlanHint& hint : hints_for(*device_, c.desc)) {
      SCOPED_TRACE(testing::Message() << c.name << ", " << hint);
      check_that_history_does_not_matter(
          *device_, [&](Device& device, float fill) { return planned(device, c.desc, hint, fill); });
    }
  }
}

TEST(BackendResidualThreads, DoNotChangeTheBits) {
  auto one = open_device({"cpu", 1}).value(), three = open_device({"cpu", 3}).value();
  for (const Case& c : cases()) {
    for (const PlanHint& hint : hints_for(*one, c.desc)) {
      SCOPED_TRACE(testing::Message() << c.name << ", " << hint);
      check_that_threads_do_not_matter(*one, *three,
                                       [&](Device& device, float fill) { return planned(device, c.desc, hint, fill); });
    }
  }
}

// Numbers that float32 holds exactly with 4096 added: normalized they are the same, to a few roundings of what is left.
TEST_P(BackendResidual, ANormKeepsTheDigitsOfNumbersFarFromZero) {
  const OpDesc desc = BatchNormDesc{{3, 40, 40, 8}};
  std::vector<float> x = random_floats(count(input_shape(desc)), "input"), far = x;
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = std::round(x[i] * 2048.0f) / 2048.0f;
    far[i] = 4096.0f + x[i];
  }
  PlannedOp near_zero(*device_, desc, {}, x, 0.0f), far_off(*device_, desc, {}, far, 0.0f);
  for (PlannedOp* run : {&near_zero, &far_off}) {
    run->forward();
    run->backward();
  }
  // Normalized numbers are below 2, weights and biases below 1: 16 roundings of 3.
  const std::vector<float> want = near_zero.output.values(), got = far_off.output.values();
  for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 16 * reference::kRoundoff * 3) << i;
  const std::vector<float> slopes = near_zero.input_gradient.values(), far_slopes = far_off.input_gradient.values();
  // Of g - mean(g) - normal * mean(g normal), at most 1 + 1 + 2, times 1 / deviation, about 1.8.
  for (std::size_t i = 0; i < slopes.size(); ++i)
    ASSERT_NEAR(far_slopes[i], slopes[i], 16 * reference::kRoundoff * 8) << i;
}

}  // namespace
}  // namespace rubato::kernels
