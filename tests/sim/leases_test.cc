// Simulated jobs with leases: every sample once, whoever takes it and whoever dies; and what they are for.
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class Leased : public testing::TestWithParam<const char*> {
 protected:
  Leased() : job_(quadratic_job(GetParam(), {3, 2})) {}
  Job job_;
};
INSTANTIATE_TEST_SUITE_P(Modes, Leased,
                         testing::Values("asp leased", "ssp:0 leased", "ssp:3 leased", "dssp:1..4 leased",
                                         "softsync:1 leased", "softsync:2 leased"),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

TEST_P(Leased, ComesNearTheOptimumAndConsumesEverySample) {
  job_ = descent_job(GetParam(), {3, 2});
  job_.evaluation.per_epoch = 2;
  QuadraticWorkload workload(job_);
  const Ran ran = run_sim(job_, workload);
  expect_descended(job_, ran, workload);
  const auto final = ran.metrics("final");
  EXPECT_EQ(final[0]["epoch"], 12);
  EXPECT_LT(final[0]["workers"][0]["samples"], final[0]["workers"][1]["samples"]);
  const auto epochs = ran.metrics("epoch");
  ASSERT_THAT(epochs, SizeIs(12));
  for (std::size_t epoch = 0; epoch < epochs.size(); ++epoch) {
    EXPECT_EQ(epochs[epoch]["epoch"], epoch + 1);
    EXPECT_EQ(epochs[epoch]["samples"], 40);
  }
  EXPECT_EQ(ran.metrics("evaluation").size() + ran.metrics("evaluation_skipped").size(), 2 * 12 - 1u);
  expect_promises_kept(job_, ran);
}

TEST_P(Leased, StepsSayHowMuchThereIsToDo) {
  job_.train.steps = 5;
  job_.worker.stragglers = "persistent:3x";
  const Ran ran = run_sim(job_);
  expect_success(ran);
  EXPECT_EQ(ran.metrics("final").at(0)["samples"], 5 * 3 * 6);
  expect_promises_kept(job_, ran);
}

TEST_P(Leased, MoreWorkersThanSamples) {
  job_ = quadratic_job(GetParam(), {5, 1});
  job_.data.samples = 3;
  const Ran ran = run_sim(job_);
  expect_success(ran);
  EXPECT_EQ(ran.metrics("final").at(0)["samples"], 6);
  expect_promises_kept(job_, ran);
}

TEST_P(Leased, WhatTheDeadHadInHandIsTakenByAnother) {
  std::int64_t again = 0;
  for (TimeNs at = 10 * kMillisecond; at < 130 * kMillisecond; at += 3 * kMillisecond) {
    SCOPED_TRACE(fmt::format("at {} ms", at / kMillisecond));
    SimOptions options;
    options.faults = {{at, Fault::Kind::kKill, "worker-1"}};
    job_.train.epochs = 4;
    const Ran ran = run_sim(job_, options);
    EXPECT_EQ(ran.result.exit_code, 0) << ran.result.text << ran.result.unfinished;
    const auto final = ran.metrics("final").at(0);
    EXPECT_EQ(final["samples"].get<std::int64_t>() + final["samples_dropped"].get<std::int64_t>(), 4 * 40);
    EXPECT_EQ(final["samples_dropped"] > 0, final["torn_steps"] > 0) << "torn steps alone are lost";
    for (const auto& line : ran.metrics("worker_sealed")) again += line["samples_leased_again"].get<std::int64_t>();
    expect_promises_kept(job_, ran);
  }
  if (parse_mode(job_.consistency.mode)->apply() == Mode::Apply::kOnArrival) {
    EXPECT_GT(again, 0);
  }
}

TEST_P(Leased, DrainsWhateverTheMoment) {
  job_.train.epochs = 20;
  job_.worker.stragglers = "persistent:2.5x";
  for (TimeNs at = 2 * kMillisecond; at < 120 * kMillisecond; at += 13 * kMillisecond) {
    SCOPED_TRACE(fmt::format("drained at {} ms", at / kMillisecond));
    SimOptions options;
    options.faults = {{at, Fault::Kind::kDrain, "scheduler"}};
    const Ran ran = run_sim(job_, options);
    EXPECT_TRUE(ran.result.over) << ran.result.unfinished;
    EXPECT_EQ(ran.result.exit_code, 130) << ran.result.text;
    ASSERT_THAT(ran.metrics("final"), SizeIs(1));
    EXPECT_TRUE(ran.result.snapshots.back().final);
    expect_promises_kept(job_, ran);
  }
}

TEST_P(Leased, SameSeedGivesTheSameBytes) {
  job_.worker.stragglers = "lognormal:1";
  const Ran one = run_sim(job_), same = run_sim(job_);
  EXPECT_EQ(one.trace, same.trace);
  EXPECT_EQ(one.result.metrics, same.result.metrics);
}

// ---- what they are for ------------------------------------------------------------------------------

double samples_per_s(const std::string& mode, const std::string& stragglers) {
  Job job = quadratic_job(mode, {8, 1});
  job.data.samples = 4096;
  job.train.batch = mode == "bsp" ? 128 : 16;
  job.train.micro_batches = 8;
  job.train.epochs = 4;
  // A worker's 16 samples take 1 + 9 ms; so all 128 of a bsp batch would take it 73 ms.
  job.simulation.step_ms = mode == "bsp" ? 73.0 : 10.0;
  job.simulation.step_fixed = 1.0 / job.simulation.step_ms;
  job.evaluation.enabled = false;
  job.worker.stragglers = stragglers;
  return run_sim(job).metrics("final").at(0)["samples_per_s"];
}

// One worker is four times slower, always: with equal shares it sets the pace of all, with leases sized by speed
// it takes a quarter of what the others take.
TEST(Leases, OneSlowWorkerDoesNotSetThePaceOfABoundedMode) {
  const double even = samples_per_s("ssp:4", "none"), equal = samples_per_s("ssp:4", "persistent:4x"),
               leased = samples_per_s("ssp:4 leased", "persistent:4x");
  EXPECT_LT(equal, 0.3 * even);
  EXPECT_GT(leased, 0.8 * even) << "7.25 of 8 workers are there";
}

// Where all are slow now and then, a bound of a few steps lets them make up for it.
TEST(Leases, SlownessThatPassesIsWhatABoundIsFor) {
  const char* stragglers = "pauses:0.1,3";
  const double bsp = samples_per_s("bsp", stragglers), ssp = samples_per_s("ssp:4", stragglers);
  EXPECT_GT(ssp, 1.5 * bsp);
  EXPECT_GT(samples_per_s("ssp:4 leased", stragglers), 1.5 * bsp);
}

TEST(Leases, TheSlowestStepOfAnEpochHoldsNobodyUpInAsp) {
  const double equal = samples_per_s("asp", "persistent:4x"), leased = samples_per_s("asp leased", "persistent:4x");
  EXPECT_GT(leased, 2.0 * equal) << "with equal shares the others are done long before the slow one";
}

}  // namespace
}  // namespace rubato::sim
