// Simulated jobs in which nothing goes wrong.
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

// ---- bsp: the same bits however the work is spread --------------------------------------------------

TEST(Bsp, GivesTheSameBitsForAnyClusterAndSliceSize) {
  for (const std::int64_t workers : {1, 2, 4}) {
    for (const std::int64_t servers : {1, 2, 3}) {
      for (const std::int64_t slice_bytes : {64, 1 << 20}) {
        SCOPED_TRACE(fmt::format("{} workers, {} servers, slices of {}", workers, servers, slice_bytes));
        const Job job = quadratic_job("bsp", {workers, servers, slice_bytes});
        QuadraticWorkload workload(job, 3);
        const Ran ran = run_sim(job, workload);
        expect_success(ran);
        EXPECT_EQ(ran.result.final_weights, bsp_weights(job, workload).back());
      }
    }
  }
}

// Each worker's sum is rounded on its way, so there are other bits for another number of workers.
TEST(Bsp, InSixteenBitsItGivesTheSameBitsForAnyNumberOfServersAndSliceSize) {
  for (const char* wire : {"float16", "bfloat16"}) {
    for (const std::int64_t workers : {1, 2, 4}) {
      std::vector<float> first;
      for (const std::int64_t servers : {1, 2, 3}) {
        for (const std::int64_t slice_bytes : {64, 1 << 20}) {
          SCOPED_TRACE(fmt::format("{}: {} workers, {} servers, slices of {}", wire, workers, servers, slice_bytes));
          Job job = quadratic_job("bsp", {workers, servers, slice_bytes});
          job.cluster.wire = wire;
          QuadraticWorkload workload(job, 3);
          const Ran ran = run_sim(job, workload);
          expect_success(ran);
          expect_promises_kept(job, ran);
          if (first.empty()) first = ran.result.final_weights;
          EXPECT_EQ(ran.result.final_weights, first);
          EXPECT_NE(ran.result.final_weights, bsp_weights(job, workload).back());
        }
      }
    }
  }
}

TEST(Bsp, SumsAnyNumberOfLeavesAlongTheSameTree) {
  for (const std::int64_t leaves : {1, 2, 3, 4, 5, 6, 7}) {
    for (const std::int64_t workers : {1, 2, 3}) {
      if (workers > leaves) continue;
      SCOPED_TRACE(fmt::format("{} leaves, {} workers", leaves, workers));
      Job job = quadratic_job("bsp", {workers, 2});
      job.train.micro_batches = leaves;
      QuadraticWorkload workload(job);
      const Ran ran = run_sim(job, workload);
      expect_success(ran);
      EXPECT_EQ(ran.result.final_weights, bsp_weights(job, workload).back());
      expect_promises_kept(job, ran);
    }
  }
}

TEST(Bsp, LastBatchOfAnEpochMayHaveFewerSamplesThanWorkers) {
  Job job = quadratic_job("bsp", {4, 2});
  job.data.samples = 38;  // 12, 12, 12, 2
  QuadraticWorkload workload(job);
  const Ran ran = run_sim(job, workload);
  expect_success(ran);
  EXPECT_EQ(ran.result.final_weights, bsp_weights(job, workload).back());
  expect_promises_kept(job, ran);
}

TEST(Bsp, EndsAfterStepsInTheMiddleOfAnEpoch) {
  for (const std::int64_t steps : {1, 3, 4, 5, 11}) {
    SCOPED_TRACE(fmt::format("{} steps", steps));
    Job job = quadratic_job("bsp", {2, 2});
    job.train.steps = steps;
    QuadraticWorkload workload(job);
    const Ran ran = run_sim(job, workload);
    expect_success(ran);
    const auto weights = bsp_weights(job, workload);
    EXPECT_EQ(weights.size(), static_cast<std::size_t>(steps) + 1);
    EXPECT_EQ(ran.result.final_weights, weights.back());
    expect_promises_kept(job, ran);
  }
}

TEST(Bsp, EveryRuleKeepsItsStateWithTheSlice) {
  for (const char* rule : {"sgd", "momentum", "nesterov", "adam", "adamw"}) {
    SCOPED_TRACE(rule);
    Job job = quadratic_job("bsp", {2, 2});
    job.optimizer.name = rule;
    job.optimizer.weight_decay = 0.01;
    QuadraticWorkload workload(job);
    const Ran ran = run_sim(job, workload);
    expect_success(ran);
    EXPECT_EQ(ran.result.final_weights, bsp_weights(job, workload).back());
  }
}

TEST(Bsp, SnapshotsAreTheExactStateOfTheirClock) {
  Job job = quadratic_job("bsp", {2, 3});
  job.train.epochs = 4;
  job.simulation.evaluation_ms = 500;  // far longer than an epoch: nobody waits for it
  QuadraticWorkload workload(job);
  const Ran ran = run_sim(job, workload);
  expect_success(ran);
  const auto weights = bsp_weights(job, workload);
  ASSERT_THAT(ran.result.snapshots, SizeIs(4));
  for (std::size_t epoch = 0; epoch < 4; ++epoch) {
    const ReadSnapshot& snapshot = ran.result.snapshots[epoch];
    EXPECT_EQ(snapshot.epoch, epoch);
    EXPECT_EQ(snapshot.clock, static_cast<Clock>(epoch + 1) * 4);
    EXPECT_EQ(snapshot.final, epoch == 3);
    EXPECT_EQ(snapshot.weights, weights[static_cast<std::size_t>(snapshot.clock)]);
  }
  EXPECT_THAT(ran.metrics("evaluation"), SizeIs(3));
  EXPECT_THAT(ran.metrics("final"), SizeIs(1));
  expect_promises_kept(job, ran);
}

TEST(Bsp, WithoutEvaluationOnlyTheFinalSnapshotIsRead) {
  Job job = quadratic_job("bsp");
  job.evaluation.enabled = false;
  QuadraticWorkload workload(job);
  const Ran ran = run_sim(job, workload);
  expect_success(ran);
  EXPECT_THAT(ran.result.snapshots, SizeIs(1));
  EXPECT_EQ(ran.result.final_weights, bsp_weights(job, workload).back());
}

// ---- on arrival -------------------------------------------------------------------------------------

class OnArrival : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Modes, OnArrival,
                         testing::Values("ssp:0", "ssp:1", "ssp:3", "dssp:1..4", "asp", "softsync:1", "softsync:2",
                                         "backup:0", "local:2", "local:2+ssp:1", "local:2+asp"),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

TEST_P(OnArrival, ComesNearTheOptimumAndConsumesEverySample) {
  const Job job = descent_job(GetParam(), {3, 2});
  QuadraticWorkload workload(job);
  const Ran ran = run_sim(job, workload);
  expect_descended(job, ran, workload);
  const auto final = ran.metrics("final");
  EXPECT_THAT(ran.result.snapshots, SizeIs(12));
  const Mode mode = parse_mode(GetParam()).value();
  if (mode.bound != Mode::kUnbounded) {
    EXPECT_LE(final[0]["staleness_max"], mode.bound);
  }
  expect_promises_kept(job, ran);
}

TEST_P(OnArrival, EvaluatorSlowerThanTheEpochsLeavesSomeOut) {
  Job job = quadratic_job(GetParam(), {3, 2});
  job.train.epochs = 60;
  job.simulation.evaluation_ms = 200;  // an epoch takes 30 ms
  QuadraticWorkload workload(job);
  const Ran ran = run_sim(job, workload);
  expect_success(ran);
  EXPECT_THAT(ran.metrics("final"), SizeIs(1));
  const std::size_t evaluated = ran.metrics("evaluation").size(), skipped = ran.metrics("evaluation_skipped").size();
  EXPECT_GT(skipped, 0u);
  EXPECT_EQ(evaluated + skipped + 1, 60u);
}

TEST_P(OnArrival, OneWorkerIsPlainDescent) {
  Job job = quadratic_job(GetParam(), {1, 2});
  QuadraticWorkload workload(job);
  const Ran ran = run_sim(job, workload);
  expect_success(ran);
  expect_promises_kept(job, ran);
}

TEST_P(OnArrival, WhoHasNoSamplesLeftTakesEmptySteps) {
  Job job = quadratic_job(GetParam(), {3, 1});
  job.data.samples = 7;
  job.train.batch = 2;  // shares of 2, 2, 3: 1, 1, 2 steps
  QuadraticWorkload workload(job);
  const Ran ran = run_sim(job, workload);
  expect_success(ran);
  EXPECT_EQ(ran.metrics("final").at(0)["samples"], 14);
  expect_promises_kept(job, ran);
}

TEST_P(OnArrival, MoreWorkersThanSamples) {
  Job job = quadratic_job(GetParam(), {5, 1});
  job.data.samples = 3;
  const Ran ran = run_sim(job);
  expect_success(ran);
  EXPECT_EQ(ran.metrics("final").at(0)["samples"], 6);
  expect_promises_kept(job, ran);
}

TEST_P(OnArrival, EndsAfterSteps) {
  Job job = quadratic_job(GetParam(), {3, 2});
  job.train.steps = 5;
  const Ran ran = run_sim(job);
  expect_success(ran);
  for (const auto& line : ran.metrics("final")) EXPECT_EQ(line["clock"], 5);
  expect_promises_kept(job, ran);
}

TEST_P(OnArrival, OneServerProcessMayHoldSeveralShards) {
  Job job = quadratic_job(GetParam(), {2, 2});
  job.cluster.shard_threads = 2;
  const Ran ran = run_sim(job);
  expect_success(ran);
  EXPECT_THAT(ran.result.shards, SizeIs(4));
  expect_promises_kept(job, ran);
}

// A worker of three times the pace gets credit, and its bound moves; the others never do.
TEST(Dssp, BoundMovesWithThePaceOfTheWorkers) {
  Job job = quadratic_job("dssp:1..8", {3, 2});
  job.train.steps = 60;
  job.worker.stragglers = "persistent:3x@2";
  const Ran ran = run_sim(job);
  expect_success(ran);
  std::map<std::int64_t, int> bounds;
  for (const std::string& text : ran.trace) {
    const auto line = nlohmann::json::parse(text);
    if (line["event"] != "grant") continue;
    ++bounds[line["bound"].get<std::int64_t>()];
    if (line["bound"] != 1) {
      EXPECT_EQ(line["worker"], 2);
    }
  }
  EXPECT_GT(bounds.size(), 1u);
  EXPECT_GE(bounds.begin()->first, 1);
  EXPECT_LE(bounds.rbegin()->first, 8);
  EXPECT_GT(ran.metrics("final").at(0)["staleness_max"], 1);
  expect_promises_kept(job, ran);
}

// ---- ages --------------------------------------------------------------------------------------------

// The weights follow from what the trace says of whose push made which update, and of what it had read.
TEST(Ages, WeightsAreThoseOfTheFormulas) {
  for (const char* mode : {"asp", "ssp:2", "softsync:1", "softsync:3"})
    for (const char* scaling : {"none", "inverse"})
      for (const char* compensation : {"none", "constant", "adaptive"}) {
        SCOPED_TRACE(fmt::format("{}, ages {}, compensation {}", mode, scaling, compensation));
        Job job = quadratic_job(mode, {6, 1, 1 << 10});
        job.optimizer.name = "sgd";
        job.optimizer.age_scaling = scaling;
        job.optimizer.compensation = {compensation, 0.3, 0.9};
        job.train.epochs = 6;
        job.train.batch = 3;
        job.worker.stragglers = "persistent:3x + lognormal:0.8";
        QuadraticWorkload workload(job);
        SimOptions options;
        options.link.loss = 0.05;
        const Ran ran = run_sim(job, workload, options);
        expect_success(ran);
        EXPECT_GT(ran.metrics("final").at(0)["age_mean"], 1.0);
        const auto expected = weights_by_age(job, workload, ran.trace);
        for (std::size_t i = 0; i < expected.size(); ++i)
          ASSERT_NEAR(ran.result.final_weights[i], expected[i], 1e-4) << "element " << i;
        expect_promises_kept(job, ran);
      }
}

// ---- committed ---------------------------------------------------------------------------------------

TEST(Backup, WithoutSparesIsPlainSynchronousDescent) {
  for (const std::int64_t workers : {1, 2, 3, 5}) {
    for (const std::int64_t servers : {1, 3}) {
      SCOPED_TRACE(fmt::format("{} workers, {} servers", workers, servers));
      Job job = quadratic_job("backup:0", {workers, servers});
      job.train.epochs = 3;
      job.evaluation.per_epoch = 2;
      job.worker.stragglers = "lognormal:0.7";
      QuadraticWorkload workload(job, 2);
      const Ran ran = run_sim(job, workload);
      expect_success(ran);
      const auto weights = shared_weights(job, workload);
      EXPECT_EQ(ran.result.final_weights, weights.back());
      for (const ReadSnapshot& snapshot : ran.result.snapshots)
        EXPECT_EQ(snapshot.weights, weights.at(static_cast<std::size_t>(snapshot.clock)));
      EXPECT_EQ(ran.metrics("final").at(0)["age_mean"], 0.0);
      EXPECT_EQ(ran.metrics("final").at(0)["updates"], weights.size() - 1);
      expect_promises_kept(job, ran);
    }
  }
}

// Worker 0 needs four times as long: nobody waits for it, what it computes is dropped, and it skips clocks.
TEST(Backup, NobodyWaitsForTheSlowest) {
  TimeNs time[2];
  for (const int backups : {0, 1}) {
    Job job = quadratic_job(fmt::format("backup:{}", backups), {4, 2});
    job.train.epochs = 0;
    job.train.steps = 60;
    job.worker.stragglers = "persistent:4x";
    const Ran ran = run_sim(job);
    expect_success(ran);
    expect_promises_kept(job, ran);
    const auto final = ran.metrics("final").at(0);
    EXPECT_EQ(final["clock"], 60);
    EXPECT_EQ(final["updates"], 60);
    EXPECT_EQ(final["staleness_max"], 0);
    EXPECT_EQ(final["age_mean"], 0.0);
    EXPECT_EQ(final["pushes_dropped"] > 0, backups == 1);
    EXPECT_EQ(final["samples_dropped"] > 0, backups == 1);
    EXPECT_EQ(final["workers"][0]["steps"] < 30, backups == 1);
    time[backups] = ran.result.time;
  }
  EXPECT_LT(2 * time[1], time[0]);
}

// The weights follow from what the trace says of who was committed and what it had read.
TEST(Softsync, WeightsAreThoseOfTheCommits) {
  for (const char* mode : {"softsync:1", "softsync:2", "softsync:4"}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(fmt::format("{}, seed {}", mode, seed));
      Job job = quadratic_job(mode, {4, 1, 1 << 10});
      job.train.epochs = 4;
      job.train.seed = seed;
      job.worker.stragglers = "persistent:3x + lognormal:0.8";
      QuadraticWorkload workload(job);
      SimOptions options;
      options.seed = seed;
      options.link.loss = 0.05;
      const Ran ran = run_sim(job, workload, options);
      expect_success(ran);
      EXPECT_EQ(ran.result.final_weights, committed_weights(job, workload, ran.trace));
      const auto final = ran.metrics("final").at(0);
      EXPECT_EQ(final["samples"], 4 * 40);
      EXPECT_EQ(final["samples_dropped"], 0);
      EXPECT_EQ(final["pushes_dropped"], 0);
      EXPECT_GT(final["age_mean"].get<double>(), 0.0);
    }
  }
}

TEST(Softsync, AnUpdateTakesItsShareOfThePushes) {
  std::map<std::string, std::int64_t> updates;
  for (const char* mode : {"softsync:1", "softsync:2", "softsync:4"}) {
    Job job = quadratic_job(mode, {4, 2});
    job.train.epochs = 0;
    job.train.steps = 40;
    job.data.samples = 4 * 6 * 40;
    const Ran ran = run_sim(job);
    expect_success(ran);
    updates[mode] = ran.metrics("final").at(0)["updates"].get<std::int64_t>();
  }
  EXPECT_EQ(updates["softsync:1"], 40);
  EXPECT_EQ(updates["softsync:2"], 80);
  EXPECT_EQ(updates["softsync:4"], 160);
}

// ---- draining ---------------------------------------------------------------------------------------

class Draining : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Modes, Draining,
                         testing::Values("bsp", "ssp:0", "ssp:2", "dssp:0..3", "asp", "softsync:1", "backup:0",
                                         "backup:1"),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

TEST_P(Draining, EndsCleanlyWhateverTheMoment) {
  Job job = quadratic_job(GetParam(), {3, 2});
  job.train.epochs = 20;
  job.worker.stragglers = "persistent:2.5x";
  QuadraticWorkload workload(job);
  const auto reference = job.consistency.mode == "bsp" ? bsp_weights(job, workload) : shared_weights(job, workload);
  for (TimeNs at = 2 * kMillisecond; at < 200 * kMillisecond; at += 13 * kMillisecond) {
    SCOPED_TRACE(fmt::format("drained at {} ms", at / kMillisecond));
    SimOptions options;
    options.faults = {{at, Fault::Kind::kDrain, "scheduler"}};
    const Ran ran = run_sim(job, workload, options);
    EXPECT_TRUE(ran.result.over) << ran.result.unfinished;
    EXPECT_EQ(ran.result.exit_code, 130) << ran.result.text;
    EXPECT_EQ(ran.exits_with(0), ran.result.ends.size() - 1);
    const auto final = ran.metrics("final");
    ASSERT_THAT(final, SizeIs(1));
    ASSERT_FALSE(ran.result.snapshots.empty());
    EXPECT_TRUE(ran.result.snapshots.back().final);
    if (job.consistency.mode == "bsp" || job.consistency.mode == "backup:0") {
      EXPECT_EQ(ran.result.final_weights, reference[final[0]["clock"].get<std::size_t>()]);
    }
    expect_promises_kept(job, ran);
  }
}

// ---- the simulation itself --------------------------------------------------------------------------

TEST(Sim, SameSeedGivesTheSameBytes) {
  for (const char* mode : {"bsp", "ssp:2", "dssp:0..4", "asp", "backup:1", "softsync:1"}) {
    SCOPED_TRACE(mode);
    Job job = quadratic_job(mode, {3, 2});
    job.worker.stragglers = "lognormal:1";
    SimOptions options;
    options.link.delay = transport::Delay::exponential(20 * kMicrosecond, 200 * kMicrosecond);
    options.link.loss = 0.05;
    const Ran one = run_sim(job, options), same = run_sim(job, options);
    EXPECT_EQ(one.trace, same.trace);
    EXPECT_EQ(one.result.metrics, same.result.metrics);
    options.seed = 2;
    EXPECT_NE(one.trace, run_sim(job, options).trace);
  }
}

TEST(Sim, TwoHundredWorkers) {
  Job job = quadratic_job("asp", {200, 2});
  job.data.samples = 2000;
  job.train.steps = 4;
  job.train.batch = 2;
  job.worker.stragglers = "lognormal:0.3";
  const Ran ran = run_sim(job);
  expect_success(ran);
  EXPECT_EQ(ran.metrics("final").at(0)["samples"], 200 * 4 * 2);
  expect_promises_kept(job, ran);
}

}  // namespace
}  // namespace rubato::sim
