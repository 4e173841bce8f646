// Samples as leases, and how large they are.
#include "scheduler/leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"
#include "scheduler/lease_sizes.h"

namespace rubato::scheduler {
namespace {

using protocol::BatchRange;
using testing::Each;

TrainConfig train_of(std::int64_t batch, std::int64_t epochs, std::int64_t steps = 0) {
  TrainConfig train;
  train.batch = batch;
  train.epochs = epochs;
  train.steps = steps;
  return train;
}

// Workers take, settle and lose leases at random: each sample of each epoch is settled once, none twice.
TEST(Leases, EverySampleOfAnEpochIsSettledOnceWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    RandomStream random(stream_key(seed, "leases"));
    const std::uint64_t samples = 1 + random.below(40), epochs = 1 + random.below(4);
    Leases leases(train_of(8, static_cast<std::int64_t>(epochs)), 3, samples);
    EXPECT_EQ(leases.total_samples(), samples * epochs);
    std::map<std::pair<std::uint32_t, Clock>, BatchRange> held;
    std::map<std::uint64_t, std::vector<int>> settled;
    std::map<std::uint32_t, Clock> clocks;
    for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) settled[epoch].assign(samples, 0);
    while (!leases.dealt_out() || !held.empty()) {
      const auto rank = static_cast<std::uint32_t>(random.below(3));
      const std::uint64_t most = 1 + random.below(10);
      if (const auto lease = random.below(2) == 0 ? leases.deal(rank, clocks[rank], most) : std::nullopt) {
        EXPECT_GT(lease->count, 0u);
        EXPECT_LE(lease->count, most);
        held[{rank, clocks[rank]++}] = *lease;
      } else if (!held.empty()) {
        const auto step = std::next(held.begin(), static_cast<std::ptrdiff_t>(random.below(held.size())));
        const auto [worker, clock] = step->first;
        if (random.below(3) == 0) {
          EXPECT_EQ(leases.give_back(worker, clock), step->second.count);
        } else {
          leases.settle(worker, clock);
          for (std::uint64_t at = 0; at < step->second.count; ++at)
            ++settled.at(step->second.epoch).at(step->second.first + at);
        }
        held.erase(step);
      }
    }
    for (const auto& [epoch, counts] : settled) {
      EXPECT_THAT(counts, Each(1)) << "epoch " << epoch;
      EXPECT_EQ(leases.settled(epoch), leases.size(epoch));
      EXPECT_EQ(leases.is_last(epoch), epoch + 1 == epochs);
    }
  }
}

TEST(Leases, WhatComesBackIsDealtFirstTheOldestBeforeAll) {
  Leases leases(train_of(4, 2), 2, 6);
  EXPECT_EQ(leases.deal(0, 0, 4), (BatchRange{0, 0, 4}));
  EXPECT_EQ(leases.deal(1, 0, 4), (BatchRange{0, 4, 2})) << "an epoch ends within a lease";
  EXPECT_EQ(leases.deal(0, 1, 4), (BatchRange{1, 0, 4})) << "nobody waits for the end of an epoch";
  leases.give_back(0, 1);
  leases.give_back_all(1);
  EXPECT_EQ(leases.deal(0, 2, 1), (BatchRange{0, 4, 1})) << "a lease may be cut";
  EXPECT_EQ(leases.deal(0, 3, 4), (BatchRange{0, 5, 1}));
  EXPECT_EQ(leases.deal(0, 4, 4), (BatchRange{1, 0, 4}));
  EXPECT_EQ(leases.deal(0, 5, 4), (BatchRange{1, 4, 2}));
  EXPECT_TRUE(leases.dealt_out());
  EXPECT_EQ(leases.deal(1, 1, 4), std::nullopt);
}

TEST(Leases, StepsSayHowMuchThereIsToDo) {
  Leases leases(train_of(10, 1, 7), 3, 100);
  EXPECT_EQ(leases.total_samples(), 210u);
  EXPECT_EQ(leases.size(1), 100u);
  EXPECT_EQ(leases.size(2), 10u) << "the last epoch is cut short";
  EXPECT_TRUE(leases.is_last(2));
  EXPECT_FALSE(leases.is_last(1));
  EXPECT_GT(Leases(train_of(1 << 24, 1, 1'000'000'000'000), 4096, 100).total_samples(), std::uint64_t{1} << 61);
}

// ---- sizes ------------------------------------------------------------------------------------------

class Paces {
 public:
  // A step of n samples takes worker w fixed + n * times[w].
  Paces(std::int64_t batch, double fixed, std::vector<double> times)
      : sizes_(batch), fixed_(fixed), times_(std::move(times)) {
    for (std::uint32_t worker = 0; worker < times_.size(); ++worker) sizes_.joined(worker);
  }
  double step_time(std::uint32_t worker, double slow = 1.0) const {
    return slow * (fixed_ * times_[worker] + static_cast<double>(sizes_.size(worker)) * times_[worker]);
  }
  void step(std::uint32_t worker, double slow = 1.0) {
    sizes_.computed(worker, sizes_.size(worker), static_cast<TimeNs>(1000.0 * step_time(worker, slow)));
  }
  void run(int steps) {
    for (int i = 0; i < steps; ++i)
      for (std::uint32_t worker = 0; worker < times_.size(); ++worker) step(worker);
  }

  LeaseSizes sizes_;

 private:
  double fixed_;
  std::vector<double> times_;
};

TEST(LeaseSizes, AllWorkersComeToTakeEquallyLong) {
  for (const double fixed : {0.0, 20.0}) {
    SCOPED_TRACE(fixed);
    Paces paces(64, fixed, {1.0, 1.0, 4.0, 2.0});
    EXPECT_EQ(paces.sizes_.size(2), 64u);
    paces.run(60);
    std::uint64_t samples = 0;
    for (std::uint32_t worker = 0; worker < 4; ++worker) {
      EXPECT_NEAR(paces.step_time(worker) / paces.step_time(0), 1.0, 0.15) << worker;
      EXPECT_EQ(paces.sizes_.size(worker) % 4, 0u) << "sixteenths of a batch";
      samples += paces.sizes_.size(worker);
    }
    EXPECT_NEAR(static_cast<double>(samples), 4 * 64, 32) << "a round is as many samples as without leases";
  }
}

TEST(LeaseSizes, MoveSlowlyAndWithinBounds) {
  Paces paces(64, 0.0, {1.0, 1.0, 1.0, 1000.0});
  std::uint64_t before = 64;
  for (int i = 0; i < 60; ++i) {
    paces.run(1);
    EXPECT_GE(paces.sizes_.size(3) + 3, before * 3 / 4) << "step " << i;
    before = paces.sizes_.size(3);
  }
  EXPECT_EQ(before, 1u);
  Paces other(10, 0.0, {1.0, 1000.0, 1000.0, 1000.0, 1000.0, 1000.0, 1000.0});
  other.run(60);
  EXPECT_EQ(other.sizes_.size(0), 40u) << "four batches at most";
}

TEST(LeaseSizes, OneSlowStepIsNoSlowWorker) {
  Paces paces(64, 0.0, {1.0, 1.0, 1.0, 1.0});
  paces.run(20);
  paces.step(0, 10.0);
  EXPECT_EQ(paces.sizes_.size(0), 48u);
  paces.run(40);
  EXPECT_EQ(paces.sizes_.size(0), 64u);
}

TEST(LeaseSizes, TheDeadDoNotCountAndWhoComesBackStartsAnew) {
  Paces paces(64, 0.0, {1.0, 3.0});
  paces.run(40);
  EXPECT_LT(paces.sizes_.size(1), 40u);
  paces.sizes_.gone(0);
  paces.sizes_.joined(0);
  EXPECT_EQ(paces.sizes_.size(0), 64u);
  paces.sizes_.gone(0);
  for (int i = 0; i < 20; ++i) paces.step(1);
  EXPECT_EQ(paces.sizes_.size(1), 64u) << "alone it is as fast as the mean";
}

}  // namespace
}  // namespace rubato::scheduler
