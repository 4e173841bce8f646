// A push that is computed in micro-batches, against the sum of what each of them gives.
#include "worker/micro_batches.h"

#include <cmath>

#include "tests/worker/step_fixture.h"

namespace rubato::worker {
namespace {

using protocol::StepGrant;
using testing::IsEmpty;

// As if each micro-batch were a leaf, but added up in order.
Gradient sum_in_order(Runner& runner, const StepGrant& step, std::uint64_t max) {
  StepGrant cut = step;
  cut.leaves = static_cast<std::uint32_t>((step.batch.count + max - 1) / max);
  Gradient sum = runner.leaf_gradient(cut, 0);
  for (std::uint64_t micro = 1; micro < cut.leaves; ++micro) {
    const Gradient part = runner.leaf_gradient(cut, micro);
    for (std::size_t p = 0; p < part.size(); ++p)
      for (std::size_t i = 0; i < part[p].size(); ++i) sum[p][i] += part[p][i];
  }
  return sum;
}

void expect_sum(Runner& runner, const Gradient& expected, std::uint64_t samples) {
  ASSERT_EQ(runner.reports.size(), runner.layout.slices());
  for (const SliceGradient& report : runner.reports) {
    EXPECT_EQ(report.samples, samples);
    ASSERT_EQ(bits_of(report.gradient.floats()), bits_of(runner.slice_of(expected, report.slice)));
  }
}

RunnerOptions cut_into(std::int64_t micro_batch, const std::string& mode = "asp") {
  RunnerOptions options;
  options.job.consistency.mode = mode;
  options.job.worker.micro_batch = micro_batch;
  return options;
}

TEST(MicroBatches, AddUpToOnePush) {
  for (const std::int64_t max : {1, 3, 4, 8, 100}) {
    ArbitraryModel model({7, 50, 3, 18});
    Runner runner(model, cut_into(max));
    for (std::uint64_t count = 1; count <= 13; ++count) {
      SCOPED_TRACE(fmt::format("{} samples, {} at a time", count, max));
      const StepGrant step = step_of(5, count, 1, {{0, 0}});
      std::int64_t leaves = 0;
      model.on_leaf = [&] { ++leaves; };
      const StepComputed computed = runner.run(step).value();
      EXPECT_EQ(leaves, (static_cast<std::int64_t>(count) + max - 1) / max);
      EXPECT_EQ(computed.samples, count);
      EXPECT_EQ(computed.loss_sum, 0.5 * static_cast<double>(count));
      model.on_leaf = [] {};
      expect_sum(runner, sum_in_order(runner, step, static_cast<std::uint64_t>(max)), count);
    }
  }
}

// Two sums of the same n floats in other orders are each within (n - 1) u of the sum of magnitudes, to first order in
// the unit roundoff u = 2^-24, so they are within twice that of each other (Higham, "Accuracy and Stability of
// Numerical Algorithms", 4.2); 1 % is for the second order.
TEST(MicroBatches, AreWithinRoundingOfTheWhole) {
  constexpr std::uint64_t kCount = 24;
  const StepGrant step = step_of(3, kCount, 1, {{0, 0}});
  ArbitraryModel model({7, 50, 3, 18});
  Runner whole(model), cut(model, cut_into(5));
  ASSERT_TRUE(whole.run(step).ok());
  ASSERT_TRUE(cut.run(step).ok());
  std::vector<std::vector<double>> magnitudes;
  StepGrant single = step;
  single.leaves = kCount;
  for (std::uint64_t sample = 0; sample < kCount; ++sample) {
    const Gradient gradient = whole.leaf_gradient(single, sample);
    for (SliceId slice = 0; slice < whole.layout.slices(); ++slice) {
      const std::vector<float> floats = whole.slice_of(gradient, slice);
      if (sample == 0) magnitudes.emplace_back(floats.size());
      for (std::size_t i = 0; i < floats.size(); ++i) magnitudes[slice][i] += std::abs(static_cast<double>(floats[i]));
    }
  }
  for (std::size_t at = 0; at < whole.reports.size(); ++at) {
    const auto one = whole.reports[at].gradient.floats(), other = cut.reports[at].gradient.floats();
    for (std::size_t i = 0; i < one.size(); ++i)
      EXPECT_NEAR(one[i], other[i], 2.02 * (kCount - 1) * std::ldexp(magnitudes[at][i], -24));
  }
}

TEST(MicroBatches, AreClippedTogether) {
  ArbitraryModel model({7, 50, 3, 18});
  RunnerOptions options = cut_into(4);
  options.job.optimizer.clip_norm = 1e-3;
  Runner runner(model, options);
  const StepGrant step = step_of(0, 10, 1, {{0, 0}});
  ASSERT_TRUE(runner.run(step).ok());
  Gradient expected = sum_in_order(runner, step, 4);
  double squares = 0.0;
  for (const auto& parameter : expected)
    for (const float value : parameter) squares += static_cast<double>(value) * value;
  const auto factor = static_cast<float>(1e-3 / (std::sqrt(squares) / 10.0));
  for (auto& parameter : expected)
    for (float& value : parameter) value *= factor;
  expect_sum(runner, expected, 10);
}

TEST(MicroBatches, SlicesLeaveWithTheLast) {
  ArbitraryModel model({7, 50});
  Runner runner(model, cut_into(3));
  int leaves = 0;
  model.on_leaf = [&] {
    ++leaves;
    EXPECT_THAT(runner.reports, IsEmpty());
  };
  std::size_t reported = 0;
  model.on_ready = [&](std::size_t parameter) {
    if (parameter == 1 && leaves == 3) reported = runner.reports.size();
  };
  ASSERT_TRUE(runner.run(step_of(0, 8, 1, {{0, 0}})).ok());
  EXPECT_EQ(leaves, 3);
  EXPECT_GT(reported, 0u) << "while backward goes on";
  EXPECT_LT(reported, runner.reports.size());
}

TEST(MicroBatches, DropoutIsThatOfTheSamples) {
  const auto device = kernels::open_device({"cpu", 1}).value();
  ModelConfig config;
  config.hidden = {11};
  config.dropout = 0.3;
  const auto model = model::make_model(config, {1, 1, 13}, 4, *device, 8, 1).value();
  RunnerOptions options = cut_into(3, "ssp:2");
  options.shape = {1, 1, 13};
  Runner runner(*model, options);
  const StepGrant step = step_of(2, 8, 1, {{0, 0}});
  ASSERT_TRUE(runner.run(step).ok());
  expect_sum(runner, sum_in_order(runner, step, 3), 8);
}

TEST(MicroBatches, InBspLeavesAreAll) {
  ArbitraryModel model({7, 50, 3, 18});
  Runner runner(model, cut_into(1, "bsp"));
  int leaves = 0;
  model.on_leaf = [&] { ++leaves; };
  const StepGrant step = step_of(5, 8, 4, {{2, 0}});
  ASSERT_TRUE(runner.run(step).ok());
  EXPECT_EQ(leaves, 4);
  EXPECT_EQ(runner.reports.size(), runner.layout.slices());
}

// One behind the other, and then the first of the next step.
TEST(MicroBatches, AreReadAhead) {
  ArbitraryModel model({7});
  Runner runner(model, cut_into(3));
  const auto run = [&](std::uint64_t first) {
    return runner.runner.run(ComputeStep{step_of(first, 8, 1, {{0, 0}}), {0, first + 8, 8}, false}, runner.weights,
                             [](const ComputeReport&) {});
  };
  ASSERT_TRUE(run(0).ok());
  EXPECT_EQ(runner.loader.hits(), 2u);
  ASSERT_TRUE(run(8).ok());
  EXPECT_EQ(runner.loader.hits(), 5u);
}

TEST(MicroBatches, AStepThatFailsLeavesNothingBehind) {
  ArbitraryModel model({7, 50});
  Runner runner(model, cut_into(3));
  const StepGrant step = step_of(0, 8, 1, {{0, 0}});
  int leaves = 0;
  model.on_leaf = [&] { runner.weights.withheld = ++leaves == 2 ? 0 : -1; };
  EXPECT_EQ(runner.run(step).error().cause, Cause::kInterrupted);
  model.on_leaf = [] {};
  runner.weights.withheld = static_cast<std::size_t>(-1);
  ASSERT_TRUE(runner.run(step).ok());
  expect_sum(runner, sum_in_order(runner, step, 3), 8);
}

}  // namespace
}  // namespace rubato::worker
