#include "worker/burden.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rubato::worker {
namespace {

Job job_with(const std::string& stragglers, double slow_worker_ms = 0.0) {
  Job job;
  job.worker.stragglers = stragglers;
  job.debug.slow_worker_ms = slow_worker_ms;
  job.debug.nonfinite_at = 4;
  return job;
}

Burden burden(const Job& job, std::uint32_t rank) { return Burden::open(job, rank).value(); }

TEST(Burden, IsThatOfItsRank) {
  const Job job = job_with("persistent:4x", 3.0);
  EXPECT_TRUE(burden(job, 0).slows());
  EXPECT_EQ(burden(job, 0).step_time(10 * kMillisecond, 5), 43 * kMillisecond);
  EXPECT_EQ(burden(job, 1).step_time(10 * kMillisecond, 5), 10 * kMillisecond);
  EXPECT_FALSE(burden(job_with("none"), 0).slows());
  EXPECT_TRUE(burden(job_with("none", 3.0), 0).slows());
  EXPECT_FALSE(burden(job_with("none", 3.0), 1).slows());
}

TEST(Burden, AStragglerThatCannotBeOpenedIsSaid) {
  const auto opened = Burden::open(job_with("trace:/nowhere/at/all"), 0);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().cause, Cause::kData);
}

TEST(Burden, SpoilsOneSliceOfTheClockThatTheJobNames) {
  const auto spoilt = [](std::uint32_t rank, Clock clock, SliceId slice, std::uint32_t samples = 2) {
    SliceGradient gradient{clock, slice, {0, 0}, samples, {}};
    if (samples > 0) gradient.gradient = Payload::of_floats(std::vector<float>{1.0f, 2.0f});
    burden(job_with("none"), rank).spoil(gradient);
    return samples > 0 && !std::isfinite(gradient.gradient.floats()[0]);
  };
  EXPECT_TRUE(spoilt(0, 4, 0));
  EXPECT_FALSE(spoilt(1, 4, 0));
  EXPECT_FALSE(spoilt(0, 3, 0));
  EXPECT_FALSE(spoilt(0, 5, 0));
  EXPECT_FALSE(spoilt(0, 4, 1));
  EXPECT_FALSE(spoilt(0, 4, 0, 0));  // an empty step has nothing to spoil
}

TEST(Burden, ASliceThatIsFrozenHasNothingToSpoil) {
  SliceGradient gradient{4, 0, {0, 0}, 2, {}};
  burden(job_with("none"), 0).spoil(gradient);
  EXPECT_EQ(gradient.gradient.size(), 0u);
}

}  // namespace
}  // namespace rubato::worker
