// Which samples are dealt to whom.
#include "scheduler/data_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

namespace rubato::scheduler {
namespace {

using testing::Each;

constexpr Mode kBsp{}, kAsp{.kind = Mode::Kind::kAsp, .bound = Mode::kUnbounded};

TrainConfig train_of(std::int64_t batch, std::int64_t epochs, std::int64_t steps = 0, std::int64_t leaves = 4) {
  TrainConfig train;
  train.batch = batch;
  train.epochs = epochs;
  train.steps = steps;
  train.micro_batches = leaves;
  return train;
}

std::vector<std::uint32_t> ranks(std::uint32_t count) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

// As the scheduler does: the plan that is there, or a new one.
const EpochPlan* reach(DataPlan& data, Clock clock, const std::vector<std::uint32_t>& active) {
  const EpochPlan* plan = data.epoch_of(clock);
  return plan != nullptr ? plan : data.plan_epoch_of(clock, active);
}

TEST(DataPlan, OnArrivalEverySampleOfAnEpochIsDealtOnce) {
  for (const std::uint64_t samples : {1, 2, 7, 40, 41}) {
    for (const std::uint32_t workers : {1u, 2u, 3u, 5u}) {
      for (const std::int64_t batch : {1, 3, 8, 100}) {
        SCOPED_TRACE(fmt::format("{} samples, {} workers, batches of {}", samples, workers, batch));
        DataPlan data(train_of(batch, 2), kAsp, samples);
        EXPECT_EQ(data.leaves(), 1u);
        Clock clock = 0;
        for (std::uint64_t epoch = 0; epoch < 2; ++epoch) {
          const EpochPlan* plan = reach(data, clock, ranks(workers));
          ASSERT_NE(plan, nullptr);
          ASSERT_EQ(plan->epoch, epoch);
          std::vector<int> dealt(samples, 0);
          std::vector<std::uint64_t> share(workers, 0);
          const Clock end = plan->end;
          for (; clock < end; ++clock) {
            for (std::uint32_t rank = 0; rank < workers; ++rank) {
              const protocol::BatchRange range = data.batch(rank, clock);
              EXPECT_EQ(range.epoch, epoch);
              EXPECT_LE(range.count, static_cast<std::uint64_t>(batch));
              share[rank] += range.count;
              for (std::uint64_t at = range.first; at < range.first + range.count; ++at) ++dealt.at(at);
            }
          }
          EXPECT_THAT(dealt, Each(1));
          EXPECT_LE(*std::ranges::max_element(share) - *std::ranges::min_element(share), 1u);
        }
        ASSERT_TRUE(data.end().has_value());
        EXPECT_EQ(*data.end(), clock);
        EXPECT_EQ(reach(data, clock, ranks(workers)), nullptr);
        EXPECT_EQ(data.total_samples(workers), 2 * samples);
      }
    }
  }
}

TEST(DataPlan, AnEpochIsDealtToThoseWhoAreThereWhenItIsReached) {
  DataPlan data(train_of(5, 3), kAsp, 20);
  ASSERT_NE(reach(data, 0, {0, 1}), nullptr);
  EXPECT_EQ(reach(data, 0, {1})->workers, ranks(2)) << "a plan never changes";
  const EpochPlan* second = reach(data, 2, {1});
  EXPECT_EQ(second->first, 2);
  EXPECT_EQ(second->end, 6);
  EXPECT_EQ(data.batch(0, 2).count, 0u) << "who is not in the plan has no samples";
  EXPECT_EQ(data.batch(1, 5), (protocol::BatchRange{1, 15, 5}));
}

TEST(DataPlan, WhoHasLeftHasAPartInTheNextEpochThatIsDealt) {
  DataPlan data(train_of(5, 3), kAsp, 20);
  ASSERT_NE(data.plan_epoch_of(0, {0, 1}), nullptr);
  EXPECT_EQ(data.samples_from(1, 1), 5u);
  data.leave(1);
  EXPECT_EQ(data.batch(1, 1).count, 0u);
  EXPECT_EQ(data.samples_from(1, 0), 0u);
  EXPECT_EQ(data.batch(0, 1), (protocol::BatchRange{0, 5, 5})) << "the others' shares stay";
  ASSERT_NE(data.plan_epoch_of(2, {0, 1}), nullptr);
  EXPECT_EQ(data.batch(1, 2), (protocol::BatchRange{1, 10, 5}));
}

TEST(DataPlan, AClockOfLocalStepsHasTheSamplesOfAllOfThem) {
  DataPlan data(train_of(3, 2), {.kind = Mode::Kind::kAsp, .bound = Mode::kUnbounded, .local_steps = 2}, 40);
  const EpochPlan* first = reach(data, 0, ranks(2));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->end, 4) << "20 samples each, in clocks of 6";
  EXPECT_EQ(data.clock_samples(), 6u);
  EXPECT_EQ(data.batch(1, 0), (protocol::BatchRange{0, 20, 6}));
  EXPECT_EQ(data.batch(1, 3), (protocol::BatchRange{0, 38, 2}));
  EXPECT_EQ(data.total_samples(2), 80u);
}

TEST(DataPlan, AggregatesTakeTheSameBatchWhoeverComputesIt) {
  DataPlan data(train_of(12, 2), kBsp, 40);
  EXPECT_EQ(data.leaves(), 4u);
  ASSERT_NE(reach(data, 0, ranks(3)), nullptr);
  ASSERT_NE(reach(data, 4, ranks(3)), nullptr);
  EXPECT_EQ(data.batch(0, 1), (protocol::BatchRange{0, 12, 12}));
  EXPECT_EQ(data.batch(2, 1), data.batch(0, 1));
  EXPECT_EQ(data.batch(0, 3), (protocol::BatchRange{0, 36, 4}));
  EXPECT_EQ(data.batch(0, 4), (protocol::BatchRange{1, 0, 12}));
  EXPECT_EQ(data.end(), 8);
  EXPECT_EQ(data.samples_before(0), 0u);
  EXPECT_EQ(data.samples_before(3), 36u);
  EXPECT_EQ(data.samples_before(4), 40u);
  EXPECT_EQ(data.samples_before(8), 80u);
}

TEST(DataPlan, StepsEndTheJobWhateverTheEpochsAre) {
  for (const Mode& mode : {kBsp, kAsp}) {
    for (const Clock steps : {1, 3, 4, 5, 9}) {
      DataPlan data(train_of(10, 1, steps), mode, 40);
      std::uint64_t samples = 0;
      for (Clock clock = 0; clock < steps; ++clock) {
        ASSERT_NE(reach(data, clock, {0}), nullptr) << "clock " << clock << " of " << steps;
        samples += data.batch(0, clock).count;
      }
      EXPECT_EQ(data.end(), steps);
      EXPECT_EQ(reach(data, steps, {0}), nullptr);
      EXPECT_EQ(data.total_samples(1), samples);
    }
  }
}

// The total is told beforehand, also where steps end the job in the middle of an epoch of unequal shares.
TEST(DataPlan, TheTotalIsWhatAllStepsTakeTogether) {
  for (const std::uint32_t workers : {1u, 2u, 3u, 7u}) {
    for (const Clock steps : {1, 4, 5, 9, 23}) {
      SCOPED_TRACE(fmt::format("{} workers, {} steps", workers, steps));
      DataPlan data(train_of(3, 1, steps), kAsp, 40);
      const std::uint64_t told = data.total_samples(workers);
      std::uint64_t samples = 0;
      for (Clock clock = 0; clock < steps; ++clock) {
        ASSERT_NE(reach(data, clock, ranks(workers)), nullptr);
        EXPECT_EQ(data.total_samples(workers), told);
        for (std::uint32_t rank = 0; rank < workers; ++rank) samples += data.batch(rank, clock).count;
      }
      EXPECT_EQ(told, samples);
    }
  }
}

TEST(DataPlan, TheTotalFollowsWhoSharesTheEpochsToCome) {
  DataPlan steps(train_of(5, 1, 8), kAsp, 20);
  EXPECT_EQ(steps.total_samples(2), 80u);
  EXPECT_EQ(steps.total_samples(1), 40u);
  ASSERT_NE(reach(steps, 0, ranks(2)), nullptr);
  EXPECT_EQ(steps.total_samples(1), 20u + 30u) << "two clocks are planned for two";
  EXPECT_EQ(steps.total_samples(0), 20u) << "nobody is left to take the rest";

  DataPlan epochs(train_of(5, 3), kAsp, 20);
  ASSERT_NE(reach(epochs, 0, ranks(2)), nullptr);
  EXPECT_EQ(epochs.total_samples(1), 60u) << "later epochs are dealt anew";
}

TEST(DataPlan, WhatIsLeftForAWorkerIsWhatItsStepsWouldTake) {
  DataPlan data(train_of(3, 3), kAsp, 20);
  const auto workers = ranks(3);
  const Clock second = reach(data, 0, workers)->end;
  EXPECT_EQ(data.samples_from(0, 0), 7u);
  EXPECT_EQ(data.samples_from(2, 0), 6u);
  EXPECT_EQ(data.samples_from(0, 1), 4u);
  ASSERT_NE(reach(data, second, workers), nullptr);
  EXPECT_EQ(data.samples_from(0, 1), 4u + 7u) << "of every epoch that is planned";
  EXPECT_EQ(data.samples_from(0, second), 7u);
  EXPECT_EQ(data.samples_from(0, 2 * second), 0u);

  DataPlan cut(train_of(3, 1, 2), kAsp, 40);
  ASSERT_NE(reach(cut, 0, {0}), nullptr);
  EXPECT_EQ(cut.samples_from(0, 0), 6u) << "behind the job's last step nothing was dealt";
}

TEST(DataPlan, ForgetsWhatIsBehindEverybody) {
  DataPlan data(train_of(10, 3), kAsp, 10);
  for (Clock clock = 0; clock < 3; ++clock) ASSERT_NE(reach(data, clock, {0}), nullptr);
  data.forget_before(2);
  EXPECT_EQ(data.batch(0, 2), (protocol::BatchRange{2, 0, 10}));
  data.forget_before(3);
  EXPECT_EQ(reach(data, 3, {0}), nullptr);
}

}  // namespace
}  // namespace rubato::scheduler
