// Straggler models: their moments against theory, who they concern, and every way to write one wrongly.
#include "base/stragglers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "tests/base/temp_directory.h"

namespace rubato {
namespace {

using testing::HasSubstr;

constexpr int kWorkers = 20, kSteps = 10'000;

Stragglers model(const std::string& text, std::uint64_t seed = 7) {
  auto opened = Stragglers::open(text, seed);
  EXPECT_TRUE(opened.ok()) << opened.error().message;
  return *opened;
}

struct Moments {
  double mean = 0.0, variance = 0.0, least = INFINITY, most = 0.0;
};

Moments moments_of(const Stragglers& stragglers) {
  Moments moments;
  double sum = 0.0, squares = 0.0;
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker)
    for (Clock clock = 0; clock < kSteps; ++clock) {
      const double factor = stragglers.factor(worker, clock);
      sum += factor;
      squares += factor * factor;
      moments.least = std::min(moments.least, factor);
      moments.most = std::max(moments.most, factor);
    }
  constexpr double kCount = kWorkers * kSteps;
  moments.mean = sum / kCount;
  moments.variance = squares / kCount - moments.mean * moments.mean;
  return moments;
}

double share_above(const Stragglers& stragglers, double bound) {
  int above = 0;
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker)
    for (Clock clock = 0; clock < kSteps; ++clock) above += stragglers.factor(worker, clock) > bound;
  return static_cast<double>(above) / (kWorkers * kSteps);
}

TEST(Stragglers, UniformHasItsMoments) {
  const Moments moments = moments_of(model("uniform:0.5..3"));
  EXPECT_NEAR(moments.mean, 1.75, 0.01);
  EXPECT_NEAR(moments.variance, 2.5 * 2.5 / 12.0, 0.01);
  EXPECT_GE(moments.least, 0.5);
  EXPECT_LT(moments.most, 3.0);
}

TEST(Stragglers, LognormalHasItsMomentsAndMedian) {
  const Stragglers stragglers = model("lognormal:0.5");
  const Moments moments = moments_of(stragglers);
  EXPECT_NEAR(moments.mean, std::exp(0.125), 0.01);
  EXPECT_NEAR(moments.variance, (std::exp(0.25) - 1.0) * std::exp(0.25), 0.02);
  EXPECT_NEAR(share_above(stragglers, 1.0), 0.5, 0.005);
}

TEST(Stragglers, ParetoHasItsMeanAndTail) {
  const Stragglers stragglers = model("pareto:3");
  const Moments moments = moments_of(stragglers);
  EXPECT_NEAR(moments.mean, 1.5, 0.01);
  EXPECT_GE(moments.least, 1.0);
  EXPECT_NEAR(share_above(stragglers, 2.0), 1.0 / 8.0, 0.005);
  EXPECT_NEAR(share_above(stragglers, 4.0), 1.0 / 64.0, 0.002);
}

TEST(Stragglers, ExponentialHasItsMoments) {
  const Moments moments = moments_of(model("exponential:0.5"));
  EXPECT_NEAR(moments.mean, 1.5, 0.01);
  EXPECT_NEAR(moments.variance, 0.25, 0.01);
  EXPECT_GE(moments.least, 1.0);
}

TEST(Stragglers, PausesComeAsOftenAndAsLongAsSaid) {
  const Stragglers stragglers = model("pauses:0.02,20");
  EXPECT_NEAR(share_above(stragglers, 20.0), 0.02, 0.002);
  const Moments moments = moments_of(stragglers);
  EXPECT_EQ(moments.least, 1.0);
  EXPECT_EQ(moments.most, 21.0);
}

TEST(Stragglers, ConstantAndPersistentAreWhatTheySay) {
  EXPECT_EQ(model("constant:2.5").factor(3, 9), 2.5);
  const Stragglers one = model("persistent:4x"), two = model("persistent:1.5x@2");
  EXPECT_EQ(one.factor(0, 9), 4.0);
  EXPECT_EQ(one.factor(1, 9), 1.0);
  EXPECT_EQ(two.factor(1, 9), 1.5);
  EXPECT_EQ(two.factor(2, 9), 1.0);
}

TEST(Stragglers, SeveralMultiply) {
  const Stragglers both = model("persistent:4x + uniform:1..2"), alone = model("uniform:1..2");
  EXPECT_EQ(both.factor(0, 3), 4.0 * alone.factor(0, 3));
  EXPECT_EQ(both.factor(1, 3), alone.factor(1, 3));
}

TEST(Stragglers, AStepsDrawIsAFunctionOfSeedWorkerAndClock) {
  const Stragglers one = model("lognormal:1"), same = model("lognormal:1"), other = model("lognormal:1", 8);
  EXPECT_EQ(one.factor(2, 5), same.factor(2, 5));
  EXPECT_NE(one.factor(2, 5), other.factor(2, 5));
  EXPECT_NE(one.factor(2, 5), one.factor(2, 6));
  EXPECT_NE(one.factor(2, 5), one.factor(3, 5));
  // The generator is portable: the same number everywhere (up to libm's last bit).
  EXPECT_NEAR(one.factor(2, 5), 0.53370956750771625, 1e-12);
}

TEST(Stragglers, StretchTheUsualTime) {
  EXPECT_TRUE(Stragglers().none());
  EXPECT_EQ(Stragglers().step_time(12'345, 0, 0), 12'345);
  EXPECT_EQ(model("none").step_time(12'345, 0, 0), 12'345);
  EXPECT_EQ(model("persistent:4x").step_time(10 * kMillisecond, 0, 3), 40 * kMillisecond);
  EXPECT_EQ(model("pareto:0.001").factor(0, 0), 1e6);  // cut off
}

// ---- traces -----------------------------------------------------------------------------------------

class Trace : public testing::Test {
 protected:
  std::string write(const std::string& text) {
    const std::string path = directory_.file("trace.csv");
    std::ofstream(path) << text;
    return path;
  }
  test::TempDirectory directory_;
};

TEST_F(Trace, StepsTakeTheirTimesInOrderAndThenAgain) {
  const Stragglers trace = model("trace:" + write("# worker,step_ms\n0,10\n3,7.5\n\n0,20\n"));
  EXPECT_FALSE(trace.none());
  const auto ms = [&](std::uint32_t worker, Clock clock) {
    return static_cast<double>(trace.step_time(kSecond, worker, clock)) / kMillisecond;
  };
  EXPECT_EQ(ms(0, 0), 10.0);
  EXPECT_EQ(ms(0, 1), 20.0);
  EXPECT_EQ(ms(0, 2), 10.0);
  EXPECT_EQ(ms(1, 0), 7.5);  // the second worker of the file
  EXPECT_EQ(ms(2, 1), 20.0);
}

TEST_F(Trace, WhatIsWrongWithItIsSaidWithItsLine) {
  const auto refusal = [&](const std::string& text) {
    const auto opened = Stragglers::open("trace:" + write(text), 1);
    EXPECT_FALSE(opened.ok());
    if (opened.ok()) return std::string();
    EXPECT_EQ(opened.error().cause, Cause::kData);
    return opened.error().message;
  };
  EXPECT_THAT(refusal("0,1\nworker,step_ms\n"),
              HasSubstr(":2: expected a line like 0,12.5 (worker, ms of a step), found \"worker,step_ms\""));
  EXPECT_THAT(refusal("0,-1\n"), HasSubstr(":1: "));
  EXPECT_THAT(refusal("7\n"), HasSubstr(":1: "));
  EXPECT_THAT(refusal("# nothing\n"), HasSubstr("has no steps in it"));
  const auto missing = Stragglers::open("trace:/nowhere/at/all", 1);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("/nowhere/at/all: No such file"));
  EXPECT_THAT(missing.error().message,
              HasSubstr("lines like 0,12.5 (worker, ms of a step), as a run leaves in steps/"));
}

// ---- syntax -----------------------------------------------------------------------------------------

TEST(Stragglers, WhatIsNoModelIsRefusedWithWhatIs) {
  const auto refusal = [](const std::string& text) {
    const Status status = Stragglers::check(text);
    return status.ok() ? "(no error)" : status.error().message;
  };
  EXPECT_EQ(refusal("lognorml:1"),
            "must be one of none, constant:C, uniform:A..B, lognormal:SIGMA, pareto:ALPHA, exponential:MEAN, "
            "persistent:Cx@K, pauses:P,S, trace:FILE, or several joined by \" + \"; did you mean \"lognormal\"?");
  EXPECT_THAT(refusal(""), HasSubstr("must be one of"));
  for (const char* text : {"lognormal", "lognormal:", "lognormal:-1", "lognormal:0.5s", "lognormal:11"})
    EXPECT_EQ(refusal(text), "lognormal needs a sigma of 0 to 10, as in lognormal:0.5") << text;
  for (const char* text : {"uniform:1", "uniform:2..1", "uniform:1..", "uniform:..1", "uniform:1.2"})
    EXPECT_THAT(refusal(text), HasSubstr("uniform needs two factors")) << text;
  for (const char* text : {"persistent:4", "persistent:x", "persistent:0x", "persistent:4x@", "persistent:4x@0",
                           "persistent:4x2", "persistent:4x@1.5"})
    EXPECT_THAT(refusal(text), HasSubstr("persistent needs a factor")) << text;
  for (const char* text : {"pauses:2,1", "pauses:0.1", "pauses:0.1,", "pauses:nan,1"})
    EXPECT_THAT(refusal(text), HasSubstr("pauses needs a probability")) << text;
  EXPECT_THAT(refusal("pareto:0"), HasSubstr("pareto needs an exponent above 0"));
  EXPECT_THAT(refusal("constant:0"), HasSubstr("constant needs a factor above 0"));
  EXPECT_THAT(refusal("trace:"), HasSubstr("trace needs a file"));
  EXPECT_THAT(refusal("none + lognormal:1"), HasSubstr("must be one of"));
  EXPECT_EQ(refusal("persistent:4x@2 + lognormal:0.3 + pauses:0.01,20"), "(no error)");
  EXPECT_EQ(refusal("trace:a file.csv"), "(no error)");
}

}  // namespace
}  // namespace rubato
