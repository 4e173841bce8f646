// What the scheduler counts: rates, ages, throughput, and the ledger of snapshots.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "scheduler/accounts.h"
#include "scheduler/learning_rate.h"
#include "scheduler/snapshots.h"

namespace rubato::scheduler {
namespace {

// ---- learning rate: epochs of 1000 samples, 5 of them, updates of 10 ---------------------------------

LearningRate rate_of(const std::string& schedule, double warmup_epochs = 0.0) {
  ScheduleConfig config;
  config.name = schedule;
  config.warmup_epochs = warmup_epochs;
  config.step_epochs = 2.0;
  config.step_factor = 0.5;
  config.final_fraction = 0.1;
  return {config, 1000, 5000, 10};
}

TEST(LearningRate, ConstantIsConstant) {
  for (const std::uint64_t samples : {0, 1, 4999, 5000, 99999}) EXPECT_EQ(rate_of("constant").at(samples, 0.2), 0.2);
}

TEST(LearningRate, StepFallsAtTheEndOfItsEpochs) {
  const LearningRate rate = rate_of("step");
  EXPECT_DOUBLE_EQ(rate.at(0, 0.2), 0.2);
  EXPECT_DOUBLE_EQ(rate.at(1999, 0.2), 0.2);
  EXPECT_DOUBLE_EQ(rate.at(2000, 0.2), 0.1);
  EXPECT_DOUBLE_EQ(rate.at(4000, 0.2), 0.05);
}

TEST(LearningRate, CosineGoesFromTheRateToItsFraction) {
  const LearningRate rate = rate_of("cosine");
  EXPECT_DOUBLE_EQ(rate.at(0, 0.2), 0.2);
  EXPECT_NEAR(rate.at(2500, 0.2), 0.2 * (0.1 + 0.9 / 2), 1e-12);
  EXPECT_NEAR(rate.at(1250, 0.2), 0.2 * (0.1 + 0.9 * (1 + std::sqrt(0.5)) / 2), 1e-12);
  EXPECT_NEAR(rate.at(5000, 0.2), 0.02, 1e-12);
  EXPECT_NEAR(rate.at(9000, 0.2), 0.02, 1e-12);
}

TEST(LearningRate, WarmUpIsLinearAndNeverZero) {
  const LearningRate rate = rate_of("constant", 2.0);
  EXPECT_DOUBLE_EQ(rate.at(0, 0.2), 0.2 * 10 / 2000);
  EXPECT_DOUBLE_EQ(rate.at(990, 0.2), 0.1);
  EXPECT_DOUBLE_EQ(rate.at(1990, 0.2), 0.2);
  EXPECT_DOUBLE_EQ(rate.at(3000, 0.2), 0.2);
  EXPECT_DOUBLE_EQ(rate_of("step", 4.0).at(2990, 0.2), 0.1 * 3000 / 4000);
}

TEST(LearningRate, AnotherBaseIsScaledInTheSameWay) {
  for (const char* name : {"constant", "step", "cosine"}) {
    const LearningRate rate = rate_of(name, 0.5);
    for (const std::uint64_t samples : {0, 400, 2500, 4999})
      EXPECT_DOUBLE_EQ(rate.at(samples, 0.05), rate.at(samples, 0.2) / 4) << name << " at " << samples;
  }
}

// Two machines for an epoch each: the schedule is that of the three epochs behind them.
TEST(LearningRate, AScheduleBeginsBehindPretraining) {
  Job job;
  job.model.name = "dbn";
  job.model.hidden = {4, 4};
  job.model.pretrain_epochs = 1;
  job.optimizer.rate = 0.2;
  job.optimizer.schedule = {.name = "cosine", .final_fraction = 0.1};
  const LearningRate same(job.optimizer.schedule, 1000, 5000, 10, LearningRate::before(job, 1000));
  const LearningRate alone(job.optimizer.schedule, 1000, 3000, 10);
  job.optimizer.pretrain_rate = 0.05;
  const LearningRate rate(job.optimizer.schedule, 1000, 5000, 10, LearningRate::before(job, 1000));
  for (const std::uint64_t samples : {0, 10, 1999}) {
    EXPECT_DOUBLE_EQ(rate.at(samples, 0.2), 0.05);
    EXPECT_DOUBLE_EQ(rate.at(samples, 0.4), 0.1) << "set for the running job";
    EXPECT_DOUBLE_EQ(same.at(samples, 0.2), 0.2);
  }
  for (const std::uint64_t samples : {0, 700, 3000, 9000})
    EXPECT_DOUBLE_EQ(rate.at(2000 + samples, 0.2), alone.at(samples, 0.2));
}

// ---- ages -------------------------------------------------------------------------------------------

TEST(AgeHistogram, MeanFactorOfARateOverTheAge) {
  AgeHistogram ages;
  EXPECT_EQ(ages.mean_factor(), 1.0);
  ages.add(0, 1);
  ages.add(1, 1);
  EXPECT_EQ(ages.mean_factor(), 1.0);
  ages.add(4, 2);
  EXPECT_EQ(ages.mean_factor(), (1 + 1 + 0.25 * 2) / 4);
}

TEST(AgeHistogram, MeanAndQuantiles) {
  AgeHistogram ages;
  EXPECT_EQ(ages.mean(), 0.0);
  EXPECT_EQ(ages.quantile(0.99), 0u);
  ages.add(0, 50);
  ages.add(2, 49);
  ages.add(100, 1);
  EXPECT_EQ(ages.total(), 100u);
  EXPECT_DOUBLE_EQ(ages.mean(), (2 * 49 + 100) / 100.0);
  EXPECT_EQ(ages.quantile(0.5), 0u);
  EXPECT_EQ(ages.quantile(0.51), 2u);
  EXPECT_EQ(ages.quantile(0.99), 2u);
  EXPECT_EQ(ages.quantile(1.0), 100u);
}

TEST(Account, AddsUpTicks) {
  Account account;
  protocol::Tick tick;
  tick.samples = 10;
  tick.correct = 4;
  tick.loss_sum = 5.0;
  tick.ages = {{0, 2}, {3, 1}};
  account.settle(tick, 7);
  account.settle(tick, 9);
  EXPECT_EQ(account.samples, 20u);
  EXPECT_EQ(account.correct, 8.0);
  EXPECT_EQ(account.pushes, 6u);
  EXPECT_EQ(account.train_loss(), 0.5);
  EXPECT_EQ(account.ages.mean(), 1.0);
  EXPECT_EQ(account.first, 7);
  EXPECT_EQ(account.last, 9);
}

TEST(Throughput, IsOfTheLastSeconds) {
  Throughput throughput;
  EXPECT_EQ(throughput.per_second(kSecond), 0.0);
  for (int i = 0; i < 40; ++i) throughput.add(100, 10 * kSecond + i * kSecond / 4);
  EXPECT_NEAR(throughput.per_second(20 * kSecond), 400.0, 20.0);
  EXPECT_EQ(throughput.per_second(60 * kSecond), 0.0);
}

// ---- snapshots --------------------------------------------------------------------------------------

TEST(Snapshots, AreEvaluatedInOrderOnceAllShardsHaveTakenThem) {
  Snapshots snapshots(2);
  snapshots.announce(10, 0, false, 0);
  snapshots.announce(20, 1, true, 0);
  EXPECT_EQ(snapshots.next(), nullptr);
  snapshots.taken(0, 1);
  snapshots.taken(0, 2);
  snapshots.taken(1, 2);
  EXPECT_EQ(snapshots.next(), nullptr) << "the first one first";
  snapshots.taken(1, 1);
  ASSERT_NE(snapshots.next(), nullptr);
  EXPECT_EQ(snapshots.next()->id, 1u);
  snapshots.next()->evaluating = true;
  EXPECT_EQ(snapshots.next(), nullptr) << "one at a time";
  EXPECT_EQ(snapshots.evaluating()->id, 1u);
  EXPECT_EQ(snapshots.released(), 0u);
  snapshots.done(1);
  EXPECT_EQ(snapshots.released(), 1u);
  EXPECT_EQ(snapshots.next()->id, 2u);
  EXPECT_TRUE(snapshots.next()->final);
  snapshots.done(2);
  EXPECT_EQ(snapshots.released(), 2u);
  EXPECT_EQ(snapshots.next(), nullptr);
}

TEST(Snapshots, GateTheirClockUntilAllShardsKnow) {
  Snapshots snapshots(2);
  snapshots.announce(10, 0, false, 0);
  EXPECT_TRUE(snapshots.known_to_all(9));
  EXPECT_FALSE(snapshots.known_to_all(10));
  snapshots.known(0, 1);
  EXPECT_FALSE(snapshots.known_to_all(10));
  snapshots.known(1, 5);
  EXPECT_TRUE(snapshots.known_to_all(10));
}

TEST(Snapshots, ThoseThatWillNeverBeDueAreForgotten) {
  Snapshots snapshots(1);
  for (Clock clock = 10; clock <= 30; clock += 10) snapshots.announce(clock, 0, false, 0);
  EXPECT_FALSE(snapshots.cancel_after(30));
  EXPECT_TRUE(snapshots.cancel_after(15));
  EXPECT_EQ(snapshots.entries().size(), 1u);
  EXPECT_EQ(snapshots.announce(15, 0, true, 0).id, 4u) << "ids are never used again";
  EXPECT_EQ(snapshots.released(), 0u);
  snapshots.done(1);
  EXPECT_EQ(snapshots.released(), 3u) << "and with them go those that were cancelled";
}

}  // namespace
}  // namespace rubato::scheduler
