// Simulated jobs that evaluate a moving average of the weights: the same bits however the work is shared in bsp, and
// nothing else of a run is another.
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::SizeIs;

constexpr const char* kModes[] = {"bsp", "backup:1",   "softsync:2", "ssp:2",       "dssp:1..4",
                                  "asp", "asp leased", "local:2",    "local:2+asp", "local:2+backup:1"};

Job averaged_job(const std::string& mode, Cluster cluster) {
  Job job = quadratic_job(mode, cluster);
  job.train.epochs = 6;
  job.evaluation.average = 0.8;
  return job;
}

TEST(Averaged, InBspTheBitsAreThoseOfOneLoopForAnyNumberOfWorkersServersAndSlices) {
  for (const char* rule : {"sgd", "momentum", "adam"})
    for (const Cluster& cluster : {Cluster{1, 1, 1 << 10}, Cluster{2, 2, 64}, Cluster{3, 1, 64}, Cluster{4, 3, 128}}) {
      SCOPED_TRACE(fmt::format("{}, {} workers", rule, cluster.workers));
      Job job = averaged_job("bsp", cluster);
      job.optimizer.name = rule;
      QuadraticWorkload workload(job);
      const Ran ran = run_sim(job, workload);
      expect_success(ran);
      const auto averages = bsp_weights(job, workload);
      EXPECT_EQ(ran.result.final_weights, averages.back());
      ASSERT_THAT(ran.result.snapshots, SizeIs(6));
      for (const ReadSnapshot& snapshot : ran.result.snapshots)
        EXPECT_EQ(snapshot.weights, averages.at(static_cast<std::size_t>(snapshot.clock)));
      job.evaluation.average = 0.0;
      EXPECT_NE(bsp_weights(job, workload).back(), averages.back());
    }
}

TEST(Averaged, OnARoughNetworkTheyAreTheSame) {
  const Job job = averaged_job("bsp", {3, 2});
  QuadraticWorkload workload(job);
  const Ran ran = run_sim(job, workload, rough_network(2));
  expect_success(ran);
  EXPECT_EQ(ran.result.final_weights, bsp_weights(job, workload).back());
}

// Workers compute on the weights themselves, and take as long.
TEST(Averaged, TrainingIsThatOfAJobWithoutAverages) {
  for (const char* mode : kModes) {
    SCOPED_TRACE(mode);
    Job job = averaged_job(mode, {4, 2});
    job.worker.stragglers = "persistent:3x + lognormal:0.5";
    const Ran with = run_sim(job);
    expect_success(with);
    expect_promises_kept(job, with);
    job.evaluation.average = 0.0;
    const Ran without = run_sim(job);
    EXPECT_EQ(with.trace, without.trace);
    EXPECT_NE(with.result.final_weights, without.result.final_weights);
    EXPECT_EQ(with.metrics("final").at(0)["average"], 0.8);
    EXPECT_FALSE(without.metrics("final").at(0).contains("average"));
  }
}

// What early stopping and the best weights go by is the average, too.
TEST(Averaged, WhatIsHeldOutIsEvaluatedOnThem) {
  Job job = averaged_job("bsp", {2, 1});
  job.evaluation.holdout = 0.2;
  QuadraticWorkload workload(job);
  const Ran with = run_sim(job, workload);
  expect_success(with);
  job.evaluation.average = 0.0;
  const Ran without = run_sim(job);
  EXPECT_NE(with.metrics("final").at(0)["best_validation_loss"],
            without.metrics("final").at(0)["best_validation_loss"]);
}

}  // namespace
}  // namespace rubato::sim
