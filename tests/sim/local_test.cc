// Simulated jobs of local steps: against plain loops, and against what they have to be in special cases.
#include "tests/sim/local_reference.h"
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::HasSubstr;

constexpr const char* kOuterRules[] = {"average", "nesterov", "delayed_nesterov"};

Job local_job(const std::string& mode, Cluster cluster, const std::string& outer) {
  Job job = quadratic_job(mode, cluster);
  job.train.batch = 3;
  job.train.epochs = 4;
  job.optimizer.outer.name = outer;
  job.worker.stragglers = "lognormal:0.7";
  if (outer == "delayed_nesterov") {
    job.optimizer.outer.delay = 3;
    job.optimizer.outer.spread = 0.2;
  }
  return job;
}

TEST(Local, EqualsAPlainLoopBitForBit) {
  for (const char* outer : kOuterRules)
    for (const std::int64_t steps : {1, 3, 16})
      for (const std::int64_t workers : {1, 2, 3}) {
        for (const std::int64_t servers : {1, 3}) {
          SCOPED_TRACE(fmt::format("{}, {} steps, {} workers, {} servers", outer, steps, workers, servers));
          Job job = local_job(fmt::format("local:{}", steps), {workers, servers}, outer);
          job.evaluation.per_epoch = 2;
          QuadraticWorkload workload(job, 2);
          const Ran ran = run_sim(job, workload);
          expect_success(ran);
          const auto weights = local_weights(job, workload);
          EXPECT_EQ(ran.result.final_weights, weights.back());
          for (const ReadSnapshot& snapshot : ran.result.snapshots)
            EXPECT_EQ(snapshot.weights, weights.at(static_cast<std::size_t>(snapshot.clock)));
          const auto final = ran.metrics("final").at(0);
          EXPECT_EQ(final["updates"], weights.size() - 1);
          EXPECT_EQ(final["samples"], 4 * 40);
          EXPECT_EQ(final["age_mean"], 0.0);
          expect_promises_kept(job, ran);
        }
      }
}

TEST(Local, TheInnerOptimizerKeepsItsStateFromClockToClock) {
  for (const char* rule : {"sgd", "momentum", "nesterov", "adam", "adamw"}) {
    SCOPED_TRACE(rule);
    Job job = local_job("local:4", {2, 2}, "nesterov");
    job.optimizer.name = rule;
    job.optimizer.weight_decay = 0.01;
    job.optimizer.clip_value = 0.5;
    QuadraticWorkload workload(job);
    const Ran ran = run_sim(job, workload);
    expect_success(ran);
    EXPECT_EQ(ran.result.final_weights, local_weights(job, workload).back());
  }
}

TEST(Local, OneStepOfSgdAveragedIsSynchronousDescent) {
  for (const std::int64_t workers : {1, 2, 3}) {
    Job job = local_job("local:1", {workers, 2}, "average");
    job.optimizer.name = "sgd";
    const Ran local = run_sim(job);
    job.consistency.mode = "backup:0";
    const Ran synchronous = run_sim(job);
    expect_success(local);
    EXPECT_LT(distance(local.result.final_weights, synchronous.result.final_weights), 2e-6f);
    EXPECT_EQ(local.metrics("final").at(0)["updates"], synchronous.metrics("final").at(0)["updates"]);
  }
}

TEST(Local, OnArrivalWeightsFollowFromTheOrderOfDeltas) {
  for (const char* mode : {"local:3+asp", "local:2+ssp:1", "local:2+dssp:0..2"})
    for (const char* outer : kOuterRules)
      for (const std::int64_t workers : {1, 4}) {
        SCOPED_TRACE(fmt::format("{} {}, {} workers", mode, outer, workers));
        Job job = local_job(mode, {workers, 1, 1 << 10}, outer);
        job.train.batch = 2;
        job.optimizer.rate = 0.02;
        job.worker.stragglers = "persistent:3x + lognormal:0.8";
        QuadraticWorkload workload(job);
        const Ran ran = run_sim(job, workload);
        expect_success(ran);
        EXPECT_EQ(ran.result.final_weights, arrived_weights(job, workload, ran.trace));
        EXPECT_EQ(ran.metrics("final").at(0)["age_mean"].get<double>() > 0.0, workers > 1);
        expect_promises_kept(job, ran);
      }
}

TEST(Local, AClockTakesTheTimeOfItsSteps) {
  Job job = local_job("local:5", {2, 1}, "average");
  job.worker.stragglers = "none";
  job.train.steps = 1;
  const Ran one = run_sim(job);
  job.consistency.mode = "local:1";
  const Ran five = run_sim(job);
  EXPECT_NEAR(seconds(one.result.time - five.result.time), 4 * 0.01, 1e-4);  // of 10 ms
}

TEST(Local, SlowClocksAreNoDeadWorkers) {
  Job job = local_job("local:16", {2, 1}, "average");
  job.worker.stragglers = "none";
  job.train.steps = 2;
  job.simulation.step_ms = 2000;  // a clock takes 7 of them, and evict_after_s is 10
  const Ran ran = run_sim(job);
  expect_success(ran);
  EXPECT_TRUE(ran.metrics("worker_lost").empty());
}

// Whatever was on its way of the dead worker, the others go on with theirs, and the log says what is lost.
TEST(Local, ADeadWorkersInnerStateIsLostAndNamed) {
  for (const char* mode : {"local:4", "local:4+ssp:1", "local:4+asp"})
    for (const char* rule : {"sgd", "momentum"}) {
      SCOPED_TRACE(fmt::format("{} {}", mode, rule));
      Job job = local_job(mode, {3, 2}, "delayed_nesterov");
      job.optimizer.name = rule;
      job.train.batch = 1;
      SimOptions options;
      options.faults = {{120 * kMillisecond, Fault::Kind::kKill, "worker-1"}};
      const Ran ran = run_sim(job, options);
      EXPECT_EQ(ran.result.exit_code, 0) << ran.result.text;
      EXPECT_EQ(std::ranges::any_of(ran.result.notes,
                                    [](const SimNote& note) {
                                      return note.text.find(
                                                 "2 of 3 workers go on; the state of its inner momentum "
                                                 "is lost with it") != std::string::npos;
                                    }),
                rule == std::string("momentum"));
      expect_promises_kept(job, ran);
    }
}

// A delta that is not finite is dropped, and the worker's next clocks are not spoiled by what it remembers.
TEST(Local, AfterANonFiniteDeltaAWorkerStartsAnew) {
  Job job = local_job("local:2", {2, 2}, "average");
  job.optimizer.name = "adam";
  job.optimizer.rate = 1e38;  // the first step leaves what a float can hold
  job.optimizer.schedule.name = "step";
  job.optimizer.schedule.step_epochs = 1.0;
  job.optimizer.schedule.step_factor = 1e-40;
  const Ran ran = run_sim(job);
  EXPECT_EQ(ran.result.exit_code, 0) << ran.result.text;
  EXPECT_GT(ran.metrics("final").at(0)["nonfinite"], 0);
  for (const auto& line : ran.metrics("nonfinite")) EXPECT_LT(line["clock"], 6);  // of 16; the rate falls at 4
}

}  // namespace
}  // namespace rubato::sim
