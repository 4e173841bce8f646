#include "worker/pace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "tests/base/temp_directory.h"

namespace rubato::worker {
namespace {

class PaceTest : public testing::Test {
 protected:
  void open(const std::string& stragglers) {
    Job job;
    job.worker.stragglers = stragglers;
    pace_ = std::make_unique<Pace>(Burden::open(job, 0).value(), StepLog::create(directory_.path().string(), 0).value(),
                                   [this](ComputeReport report) { passed_.push_back(std::move(report)); });
  }
  void gradient(SliceId slice) { pace_->pass(SliceGradient{0, slice, {0, 0}, 1, {}}); }
  void computed(TimeNs took) {
    StepComputed report;
    report.compute_ns = static_cast<std::uint64_t>(took);
    pace_->pass(report);
  }
  std::string log() {
    pace_.reset();  // closes it
    std::stringstream text;
    text << std::ifstream(directory_.file("steps/worker-0.csv")).rdbuf();
    return text.str();
  }

  test::TempDirectory directory_;
  std::unique_ptr<Pace> pace_;
  std::vector<ComputeReport> passed_;
};

TEST_F(PaceTest, WithoutABurdenGradientsLeaveAtOnce) {
  open("none");
  gradient(0);
  EXPECT_EQ(passed_.size(), 1u);
  computed(1'500'000);
  EXPECT_EQ(passed_.size(), 2u);
  EXPECT_EQ(log(), "0,1.5000\n");
}

TEST_F(PaceTest, ASlowWorkersGradientsComeLateAndInOrder) {
  open("persistent:20x");
  gradient(0);
  gradient(1);
  EXPECT_THAT(passed_, testing::IsEmpty());
  const TimeNs began = steady_now();
  computed(kMillisecond);
  EXPECT_GE(steady_now() - began, 19 * kMillisecond);
  ASSERT_EQ(passed_.size(), 3u);
  EXPECT_EQ(std::get<SliceGradient>(passed_[0]).slice, 0u);
  EXPECT_EQ(std::get<SliceGradient>(passed_[1]).slice, 1u);
  EXPECT_EQ(std::get<StepComputed>(passed_[2]).compute_ns, static_cast<std::uint64_t>(20 * kMillisecond));
  EXPECT_EQ(log(), "0,20.0000\n");
}

TEST_F(PaceTest, NobodyIsFasterThanTheMachine) {
  open("constant:0.5");
  computed(2 * kMillisecond);
  EXPECT_EQ(std::get<StepComputed>(passed_.at(0)).compute_ns, static_cast<std::uint64_t>(2 * kMillisecond));
}

TEST_F(PaceTest, WhatFailsIsSaidAtOnceBehindWhatWasHeld) {
  open("persistent:1000x");
  gradient(0);
  pace_->pass(ComputeFailed{{Cause::kData, "no"}});
  ASSERT_EQ(passed_.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<ComputeFailed>(passed_[1]));
}

TEST_F(PaceTest, StopWakesTheSleeper) {
  open("persistent:100x");
  std::thread sleeper([&] { computed(kSecond); });
  pace_->stop();
  sleeper.join();  // not after 99 s
  EXPECT_EQ(passed_.size(), 1u);
}

TEST(StepLog, WhatCannotBeWrittenIsSaid) {
  const auto log = StepLog::create("/nowhere/at/all", 0);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().cause, Cause::kStorage);
}

}  // namespace
}  // namespace rubato::worker
