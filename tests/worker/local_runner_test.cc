// What a trainer makes of a clock of local steps: whose samples, what it leaves, and when.
#include "worker/local_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "tests/worker/given_orders.h"
#include "worker/local_steps.h"

namespace rubato::worker {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::size_t kSize = 40, kSlices = 3;  // 16, 16 and 8 floats

Job local_job(const std::string& mode, const std::string& rule = "momentum") {
  Job job;
  job.model.name = "quadratic";
  job.model.size = kSize;
  job.data.kind = "synthetic";
  job.data.samples = 64;
  job.train.batch = 4;
  job.optimizer.name = rule;
  job.consistency.mode = mode;
  return job;
}

std::vector<float> some_weights() {
  RandomStream random(stream_key(9, "weights"));
  std::vector<float> values(kSize);
  for (float& value : values) value = unit_float(random.next_u32());
  return values;
}

class LocalSteps {
 public:
  explicit LocalSteps(const Job& job) : rate_(0.1), trainer_(Trainer::open(job, worker_node(0), ".").value()) {
    trainer_->set_routing({1, protocol::cut_slices(trainer_->manifest(), 64, 1), {"a"}});
  }

  // The reports of one clock, from these weights.
  std::vector<ComputeReport> clock(Clock clock, protocol::BatchRange batch, const std::vector<float>& weights) {
    ComputeStep order;
    order.step.clock = clock;
    order.step.batch = batch;
    order.step.nodes = {{0, 0}};
    order.step.rate = rate_;
    order.next = {batch.epoch, batch.first + batch.count, batch.count};
    std::vector<ComputeOrder> orders{order};
    for (SliceId slice = 0; slice < kSlices; ++slice) {
      const auto part = std::span(weights).subspan(16 * slice, slice == 2 ? 8 : 16);
      orders.emplace_back(SliceWeights{clock, slice, static_cast<Version>(clock), Payload::of_floats(part)});
    }
    return run_orders(*trainer_, orders, kept).reports;
  }

  WorkerState kept;

 private:
  const double rate_;
  std::unique_ptr<Trainer> trainer_;
};

// What the reports say to be pushed, from the first slice to the last.
std::vector<float> pushed(const std::vector<ComputeReport>& reports) {
  std::vector<std::vector<float>> slices(kSlices);
  for (const ComputeReport& report : reports)
    if (const auto* made = std::get_if<SliceGradient>(&report)) {
      const auto values = made->gradient.floats();
      slices[made->slice].assign(values.begin(), values.end());
    }
  std::vector<float> all;
  for (const auto& slice : slices) all.insert(all.end(), slice.begin(), slice.end());
  return all;
}

std::vector<std::uint32_t> steps_said(const std::vector<ComputeReport>& reports) {
  std::vector<std::uint32_t> steps;
  for (const ComputeReport& report : reports)
    if (const auto* made = std::get_if<SliceGradient>(&report)) steps.push_back(made->local_steps);
  return steps;
}

TEST(LocalStepRanges, CutAClockIntoBatchesTheLastOfWhichMayBeShorter) {
  const protocol::BatchRange clock{2, 10, 11};
  EXPECT_EQ(local_step_count(clock, 4), 3u);
  EXPECT_EQ(local_step(clock, 4, 0), (protocol::BatchRange{2, 10, 4}));
  EXPECT_EQ(local_step(clock, 4, 2), (protocol::BatchRange{2, 18, 3}));
  EXPECT_EQ(local_step_count({2, 10, 0}, 4), 0u);
}

// Its own mean goes on from step to step, whatever the optimizer.
TEST(LocalRunner, ARunningMeanIsNoWeight) {
  Job job = local_job("local:3", "adamw");
  job.optimizer.weight_decay = 0.5;
  ParameterSpec mean;
  mean.name = "bn.running_mean";
  mean.shape = {2};
  mean.average = 0.25f;
  const InnerOptimizer inner(job, {mean}, {1, protocol::cut_slices({mean}, 64, 1), {"a"}});
  InnerState state;
  std::vector<float> values{0.0f, 4.0f};
  for (int step = 0; step < 2; ++step) inner.update(state, 0, 0.1, std::vector<float>{16, 0}, 2, values, values);
  EXPECT_THAT(values, ElementsAre(3.5f, 2.25f));
}

// The same gradients, the same rule, one step after the other.
TEST(LocalRunner, ADeltaIsHowFarTheInnerOptimizerCame) {
  for (const char* rule : {"sgd", "momentum", "adam"}) {
    SCOPED_TRACE(rule);
    const Job job = local_job("local:3", rule);
    LocalSteps local(job), gradients(local_job("asp", rule));
    const auto trainer = Trainer::open(job, worker_node(0), ".").value();
    const InnerOptimizer inner(job, trainer->manifest(), {1, protocol::cut_slices(trainer->manifest(), 64, 1), {"a"}});
    InnerState state;
    std::vector<float> pulled = some_weights();
    for (const Clock clock : {0, 1}) {
      std::vector<float> own = pulled;
      const auto first = static_cast<std::uint64_t>(clock) * 12;
      for (std::uint64_t step = 0; step < 3; ++step) {
        const auto gradient =
            pushed(gradients.clock(3 * clock + static_cast<Clock>(step), {0, first + 4 * step, 4}, own));
        for (SliceId slice = 0; slice < kSlices; ++slice) {
          const std::size_t at = 16 * slice, count = slice == 2 ? 8 : 16;
          inner.update(state, slice, 0.1, std::span(gradient).subspan(at, count), 4, std::span(own).subspan(at, count),
                       std::span(own).subspan(at, count));
        }
      }
      const auto reports = local.clock(clock, {0, first, 12}, pulled);
      EXPECT_THAT(steps_said(reports), AllOf(SizeIs(kSlices), Each(3u)));
      const std::vector<float> delta = pushed(reports);
      ASSERT_THAT(delta, SizeIs(kSize));
      for (std::size_t i = 0; i < kSize; ++i) ASSERT_EQ(delta[i], pulled[i] - own[i]) << i;
      const auto& computed = std::get<StepComputed>(reports.back());
      EXPECT_EQ(computed.samples, 12u);
      pulled = own;
    }
  }
}

TEST(LocalRunner, AClockMayHaveFewerStepsOrNone) {
  LocalSteps local(local_job("local:3"));
  EXPECT_THAT(steps_said(local.clock(0, {0, 0, 5}, some_weights())), AllOf(SizeIs(kSlices), Each(2u)));
  const auto nothing = local.clock(1, {0, 5, 0}, some_weights());
  EXPECT_THAT(steps_said(nothing), AllOf(SizeIs(kSlices), Each(0u)));
  EXPECT_THAT(pushed(nothing), IsEmpty());
  EXPECT_EQ(std::get<StepComputed>(nothing.back()).samples, 0u);
}

// What is not finite would stay so for ever.
TEST(LocalRunner, ASliceWhoseDeltaIsNotFiniteStartsAnew) {
  LocalSteps local(local_job("local:3"));
  std::vector<float> bad = some_weights();
  bad[20] = std::numeric_limits<float>::infinity();  // in slice 1
  static_cast<void>(local.clock(0, {0, 0, 12}, bad));
  ASSERT_THAT(local.kept.inner.slices, SizeIs(kSlices));
  EXPECT_EQ(local.kept.inner.slices[0].updates, 3u);
  EXPECT_EQ(local.kept.inner.slices[1].updates, 0u);
  const std::vector<float> delta = pushed(local.clock(1, {0, 12, 12}, some_weights()));
  for (const float value : delta) EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace rubato::worker
