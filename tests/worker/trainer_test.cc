#include "worker/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/rng.h"
#include "base/time.h"
#include "tests/worker/given_orders.h"

namespace rubato::worker {
namespace {

using protocol::LeafNode;
using testing::HasSubstr;

constexpr std::size_t kSize = 40, kSlices = 3;  // 16, 16 and 8 floats

Job quadratic_job() {
  Job job;
  job.model.name = "quadratic";
  job.model.size = kSize;
  job.data.kind = "synthetic";
  job.data.samples = 32;
  job.train.batch = 8;
  job.train.micro_batches = 2;
  return job;
}

ComputeStep step_order(Clock clock, LeafNode node, bool more_of_same = false) {
  ComputeStep order;
  order.step.clock = clock;
  order.step.batch = {0, static_cast<std::uint64_t>(8 * clock), 8};
  order.step.leaves = 2;
  order.step.nodes = {node};
  order.next = {0, static_cast<std::uint64_t>(8 * (clock + 1)), 8};
  order.more_of_same = more_of_same;
  return order;
}

SliceWeights weights_of(Clock clock, SliceId slice) {
  RandomStream random(stream_key(9, "weights", 100 * static_cast<std::uint64_t>(clock) + slice));
  std::vector<float> values(slice == 2 ? 8 : 16);
  for (float& value : values) value = unit_float(random.next_u32());
  return {clock, slice, 1, Payload::of_floats(values)};
}

std::vector<ComputeOrder> step_with_weights(Clock clock) {
  std::vector<ComputeOrder> orders{step_order(clock, {1, 0})};
  for (SliceId slice = 0; slice < kSlices; ++slice) orders.emplace_back(weights_of(clock, slice));
  return orders;
}

class Trained {
 public:
  explicit Trained(const Job& job = quadratic_job()) : trainer(Trainer::open(job, worker_node(0), ".").value()) {
    trainer->set_routing({1, protocol::cut_slices(trainer->manifest(), 64, 1), {"a"}});
  }

  std::vector<ComputeReport> run(const std::vector<ComputeOrder>& orders) {
    Answers answers = run_orders(*trainer, orders, kept);
    taken = answers.taken;
    return std::move(answers.reports);
  }

  std::unique_ptr<Trainer> trainer;
  WorkerState kept;
  std::size_t taken = 0;  // orders, by the last run
};

// All that a report says, but for times.
std::string text_of(const ComputeReport& report) {
  if (const auto* gradient = std::get_if<SliceGradient>(&report))
    return fmt::format("clock {} slice {} node {}/{} samples {}: {}", gradient->clock, gradient->slice,
                       gradient->node.level, gradient->node.index, gradient->samples,
                       fmt::join(gradient->gradient.floats(), " "));
  if (const auto* computed = std::get_if<StepComputed>(&report))
    return fmt::format("computed {}: {} samples, loss {}", computed->clock, computed->samples, computed->loss_sum);
  if (const auto* failed = std::get_if<ComputeFailed>(&report)) return "failed: " + failed->error.message;
  return "evaluated";
}

std::vector<std::string> texts_of(const std::vector<ComputeReport>& reports) {
  std::vector<std::string> texts;
  texts.reserve(reports.size());
  for (const ComputeReport& report : reports) texts.push_back(text_of(report));
  return texts;
}

TEST(Trainer, SaysWhatTheRegistrationNeeds) {
  const Trained one, two;
  ASSERT_EQ(one.trainer->manifest().size(), 1u);
  EXPECT_EQ(one.trainer->manifest()[0].name, "w");
  EXPECT_EQ(one.trainer->train_samples(), 32u);
  EXPECT_EQ(one.trainer->data_fingerprint(), two.trainer->data_fingerprint());
  EXPECT_THAT(one.trainer->device_description(), HasSubstr("cpu"));
}

TEST(Trainer, WhatCannotBeOpenedIsSaid) {
  Job job = quadratic_job();
  job.data.kind = "idx";
  job.data.train_inputs = job.data.train_labels = "/nowhere/at/all.gz";
  const auto no_data = Trainer::open(job, worker_node(0), ".");
  ASSERT_FALSE(no_data.ok());
  EXPECT_EQ(no_data.error().cause, Cause::kData);
  EXPECT_THAT(no_data.error().message, HasSubstr("/nowhere/at/all.gz"));

  job = quadratic_job();
  job.worker.device = "cuda:77";
  const auto no_device = Trainer::open(job, worker_node(0), ".");
  ASSERT_FALSE(no_device.ok());
  EXPECT_EQ(no_device.error().cause, Cause::kDevice);
}

// The gradient of the quadratic is known: samples * w - the sum of the targets.
TEST(Trainer, ReportsEachSliceAndThenTheStep) {
  Trained trained;
  const auto reports = trained.run(step_with_weights(0));
  ASSERT_EQ(reports.size(), kSlices + 1);
  const auto& computed = std::get<StepComputed>(reports.back());
  EXPECT_EQ(computed.clock, 0);
  EXPECT_EQ(computed.samples, 8u);
  double loss = 0.0;
  const auto data = data::open_dataset(quadratic_job(), data::Split::kTrain).value();
  data::EpochOrder order(data::EpochOrder::Kind::kShuffled, quadratic_job().train.seed, data->size());
  data::BatchBuffer batch;
  EXPECT_TRUE(data->gather(0, order.of(0).first(8), batch).ok());
  for (SliceId slice = 0; slice < kSlices; ++slice) {
    const auto& gradient = std::get<SliceGradient>(reports[slice]);
    ASSERT_EQ(gradient.slice, slice);
    EXPECT_EQ(gradient.samples, 8u);
    const SliceWeights weights = weights_of(0, slice);
    const auto w = weights.weights.floats();
    for (std::size_t i = 0; i < w.size(); ++i) {
      double sum = 0.0;
      for (std::size_t sample = 0; sample < 8; ++sample) {
        const double distance = w[i] - batch.targets[sample * kSize + std::size_t{16} * slice + i];
        sum += distance;
        loss += 0.5 * distance * distance;
      }
      EXPECT_NEAR(gradient.gradient.floats()[i], sum, 1e-5);
    }
  }
  EXPECT_NEAR(computed.loss_sum, loss, 1e-4);
}

// ---- orders in every sequence -----------------------------------------------------------------------

// Of a step, the nodes of a dead worker added to it, and the weights of each slice: whatever comes when, the
// reports are the same, those of the first order before those of the second.
TEST(Trainer, WeightsAndAddedNodesMayComeInAnyOrder) {
  Trained trained;
  const std::vector<ComputeOrder> orders{step_order(0, {0, 0}), step_order(0, {0, 1}, true), weights_of(0, 0),
                                         weights_of(0, 1), weights_of(0, 2)};
  const std::vector<std::string> expected = texts_of(trained.run(orders));
  ASSERT_EQ(expected.size(), 2 * (kSlices + 1));
  EXPECT_THAT(expected[kSlices], HasSubstr("computed 0: 4 samples"));

  std::vector<std::size_t> sequence{0, 1, 2, 3, 4};
  int sequences = 0;
  do {
    if (std::ranges::find(sequence, 0) > std::ranges::find(sequence, 1)) continue;
    Trained fresh;
    std::vector<ComputeOrder> shuffled;
    shuffled.reserve(sequence.size());
    for (const std::size_t at : sequence) shuffled.push_back(orders[at]);
    EXPECT_EQ(texts_of(fresh.run(shuffled)), expected) << testing::PrintToString(sequence);
    ++sequences;
  } while (std::next_permutation(sequence.begin(), sequence.end()));
  EXPECT_EQ(sequences, 60);
}

TEST(Trainer, EachStepComputesOnItsOwnWeights) {
  Trained trained, alone;
  std::vector<ComputeOrder> both = step_with_weights(0);
  for (const ComputeOrder& order : step_with_weights(1)) both.push_back(order);
  const auto reports = texts_of(trained.run(both));
  ASSERT_EQ(reports.size(), 2 * (kSlices + 1));
  EXPECT_EQ(std::vector(reports.begin() + kSlices + 1, reports.end()), texts_of(alone.run(step_with_weights(1))));

  // Those of the step before do not do.
  Trained waiting;
  both = step_with_weights(0);
  both.emplace_back(step_order(1, {1, 0}));
  EXPECT_EQ(waiting.run(both).size(), kSlices + 1);
}

TEST(Trainer, ReadsTheNextBatchWhileItComputes) {
  Trained trained;
  for (Clock clock = 0; clock < 4; ++clock) trained.run(step_with_weights(clock));
  EXPECT_EQ(trained.trainer->read_ahead(), 2u * 4u - 1u) << "all leaves but the very first";
}

// As many leaves as the reader keeps batches, and more.
TEST(Trainer, ReadsEachOfManyLeavesAheadOnce) {
  Job job = quadratic_job();
  job.train.micro_batches = 8;
  Trained trained(job);
  for (Clock clock = 0; clock < 3; ++clock) {
    std::vector<ComputeOrder> orders = step_with_weights(clock);
    auto& step = std::get<ComputeStep>(orders[0]);
    step.step.leaves = 8;
    step.step.nodes = {{3, 0}};
    trained.run(orders);
  }
  EXPECT_EQ(trained.trainer->read_ahead(), 8u * 3u - 1u) << "all leaves but the very first";
}

TEST(Trainer, StopsInTheMiddleOfWaiting) {
  for (const bool says_so : {true, false}) {  // or there are simply no more orders
    Trained trained;
    std::vector<ComputeOrder> orders{step_order(0, {1, 0}), weights_of(0, 0)};
    if (says_so) {
      orders.emplace_back(StopComputing{});
      orders.emplace_back(weights_of(0, 1));
    }
    EXPECT_THAT(trained.run(orders), testing::IsEmpty());
    EXPECT_EQ(trained.taken, says_so ? 3u : 2u);
  }
}

TEST(Trainer, StopsBetweenSteps) {
  Trained trained;
  std::vector<ComputeOrder> orders = step_with_weights(0);
  orders.emplace_back(StopComputing{});
  orders.emplace_back(step_order(1, {1, 0}));
  EXPECT_EQ(trained.run(orders).size(), kSlices + 1);
  EXPECT_EQ(trained.taken, 5u);
}

TEST(Trainer, GoesOnWhereItsOrdersWereUsedUp) {
  Trained in_parts, at_once;
  std::vector<ComputeOrder> both = step_with_weights(0);
  for (const ComputeOrder& order : step_with_weights(1)) both.push_back(order);
  std::vector<std::string> reports = texts_of(in_parts.run(step_with_weights(0)));
  for (const std::string& report : texts_of(in_parts.run(step_with_weights(1)))) reports.push_back(report);
  EXPECT_EQ(reports, texts_of(at_once.run(both)));
}

TEST(Trainer, AStepThatFailsIsReportedAndTheNextIsComputed) {
  Trained trained;
  std::vector<ComputeOrder> orders;
  ComputeStep outside = step_order(0, {1, 0});
  outside.step.batch.first = 30;  // of 32 samples
  orders.emplace_back(outside);
  for (const ComputeOrder& order : step_with_weights(1)) orders.push_back(order);
  const auto reports = trained.run(orders);
  ASSERT_EQ(reports.size(), 1 + kSlices + 1);
  EXPECT_EQ(std::get<ComputeFailed>(reports[0]).error.cause, Cause::kMalformed);
  EXPECT_EQ(std::get<StepComputed>(reports.back()).clock, 1);
}

TEST(Trainer, SaysHowLongItWaitedForWeights) {
  Trained trained;
  const std::vector<ComputeOrder> orders = step_with_weights(0);
  std::size_t at = 0;
  std::uint64_t blocked_ns = 0;
  trained.trainer->run(
      [&]() -> std::optional<ComputeOrder> {
        if (at == orders.size()) return std::nullopt;
        if (at > 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        return orders[at++];
      },
      [&](ComputeReport report) {
        if (const auto* computed = std::get_if<StepComputed>(&report)) blocked_ns = computed->blocked_ns;
      },
      trained.kept);
  EXPECT_GE(blocked_ns, static_cast<std::uint64_t>(6 * kMillisecond));
}

// Forward asks for weights; who takes long for that is not to look as if it stood still.
TEST(Trainer, ShowsLifeInALongStep) {
  Trained trained;
  std::vector<ComputeOrder> orders = step_with_weights(0);
  std::size_t taken = 0;
  std::vector<ComputeReport> reports;
  trained.trainer->run(
      [&]() -> std::optional<ComputeOrder> {
        if (taken == orders.size()) return std::nullopt;
        if (taken + 1 == orders.size()) std::this_thread::sleep_for(std::chrono::milliseconds(1050));
        return orders[taken++];
      },
      [&](ComputeReport report) { reports.push_back(std::move(report)); }, trained.kept);
  ASSERT_FALSE(reports.empty());
  EXPECT_TRUE(std::holds_alternative<StillComputing>(reports.front()));
  EXPECT_EQ(std::ranges::count_if(
                reports, [](const ComputeReport& report) { return std::holds_alternative<StillComputing>(report); }),
            1);
}

}  // namespace
}  // namespace rubato::worker
