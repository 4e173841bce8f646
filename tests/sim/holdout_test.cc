// Simulated jobs that set samples aside: the best weights are found, and training ends when nothing gets better,
// whatever the mode.
#include <cmath>

#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

// Comes near the optimum in a few epochs of 200, and after that goes about it.
Job watched_job(const std::string& mode) {
  Job job = quadratic_job(mode, {3, 2});
  job.train.epochs = 200;
  job.evaluation.holdout = 0.2;
  job.evaluation.patience = 3;
  job.evaluation.min_delta = 0.01;
  return job;
}

double loss_of(const nlohmann::json& line) { return line["validation_loss"].get<double>(); }

class Watched : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Modes, Watched,
                         testing::Values("bsp", "ssp:2", "asp", "asp leased", "ssp:2 leased", "softsync:1", "backup:1",
                                         "local:4", "local:2+asp", "dssp:1..4"),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

TEST_P(Watched, TrainingEndsWhenNothingGetsBetter) {
  const Job job = watched_job(GetParam());
  QuadraticWorkload workload(job);
  EXPECT_EQ(workload.train_samples(), 32u);
  EXPECT_EQ(workload.held_out_samples(), 8u);
  const Ran ran = run_sim(job, workload);
  expect_success(ran);
  const auto final = ran.metrics("final");
  ASSERT_THAT(final, SizeIs(1));
  EXPECT_EQ(final[0]["stopped_early"], true);
  EXPECT_LT(final[0]["epoch"], 100);
  const auto stopped = ran.metrics("stopped_early");
  ASSERT_THAT(stopped, SizeIs(1));
  EXPECT_THAT(stopped[0]["reason"].get<std::string>(), HasSubstr("stopped early: 3 evaluations without"));
  expect_promises_kept(job, ran);
}

// Recomputed from the lines: which evaluation was the best, and when patience was at its end.
TEST_P(Watched, TheDecisionsFollowFromTheFigures) {
  const Job job = watched_job(GetParam());
  const Ran ran = run_sim(job);
  const auto final = ran.metrics("final").at(0), stopped = ran.metrics("stopped_early").at(0);
  double best = INFINITY, reference = INFINITY;
  std::int64_t best_clock = -1, without = 0, stopped_at = -1;
  for (const auto& line : ran.metrics("evaluation")) {
    const double loss = loss_of(line);
    EXPECT_EQ(line["best"].get<bool>(), loss < best) << line["epoch"];
    if (loss < best) best = loss, best_clock = line["clock"];
    if (stopped_at >= 0) continue;
    without = loss < reference - 0.01 ? 0 : without + 1;
    if (without == 0) reference = loss;
    if (without == 3) stopped_at = line["clock"];
  }
  EXPECT_EQ(stopped["clock"], stopped_at);
  if (loss_of(final) < best) best = loss_of(final), best_clock = final["clock"];
  EXPECT_EQ(final["best_clock"], best_clock);
  EXPECT_DOUBLE_EQ(final["best_validation_loss"].get<double>(), best);
}

// Of the quadratic the test set is the training samples: so the test figure says whose weights it is of.
TEST(WatchedJob, TheTestIsMadeOnceAndOfTheBestWeights) {
  Job job = watched_job("bsp");
  job.train.epochs = 8;
  job.evaluation.patience = 0;
  job.evaluation.min_delta = 0.0;
  job.optimizer.rate = 4.0;  // it diverges: the first epoch is the best
  const Ran ran = run_sim(job);
  const auto final = ran.metrics("final").at(0);
  EXPECT_EQ(final["best_epoch"], 1);
  EXPECT_EQ(final["stopped_early"], false);
  EXPECT_GT(loss_of(final), 10 * final["best_validation_loss"].get<double>());
  EXPECT_LT(final["test_loss"].get<double>(), 2 * final["best_validation_loss"].get<double>());
  for (const auto& line : ran.metrics("evaluation")) EXPECT_FALSE(line.contains("test_loss"));

  // Training for one epoch alone ends with these weights.
  job.train.epochs = 1;
  EXPECT_EQ(run_sim(job).metrics("final").at(0)["test_loss"], final["test_loss"]);
}

// A killed evaluator is started again, and told what is to beat.
TEST(WatchedJob, EvaluatorsThatDieChangeNoDecision) {
  const Job job = watched_job("bsp");
  const Ran calm = run_sim(job);
  SimOptions options;
  options.faults = {{45 * kMillisecond, Fault::Kind::kKill, "evaluator-0"}};
  const Ran ran = run_sim(job, options);
  EXPECT_EQ(ran.result.exit_code, 0) << ran.result.text;
  ASSERT_THAT(ran.metrics("stopped_early"), SizeIs(1));
  EXPECT_EQ(ran.metrics("stopped_early").at(0)["clock"], calm.metrics("stopped_early").at(0)["clock"]);
}

TEST(WatchedJob, OnANetworkThatLosesAndRepeats) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const Job job = watched_job("ssp:2");
    const Ran ran = run_sim(job, rough_network(seed));
    expect_success(ran);
    EXPECT_EQ(ran.metrics("final").at(0)["stopped_early"], true);
    expect_promises_kept(job, ran);
  }
}

TEST(WatchedJob, EvaluatedSeveralTimesAnEpoch) {
  Job job = watched_job("asp leased");
  job.evaluation.per_epoch = 4;
  const Ran ran = run_sim(job);
  expect_success(ran);
  EXPECT_EQ(ran.metrics("final").at(0)["stopped_early"], true);
}

}  // namespace
}  // namespace rubato::sim
