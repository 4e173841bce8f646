// Whether training goes on: by the core that decides, and by the scheduler that drains the job then.
#include "scheduler/early_stopping.h"

#include <cmath>
#include <limits>

#include "base/better.h"
#include "tests/scheduler/scheduler_harness.h"

namespace rubato::scheduler {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

EvaluationConfig config_of(std::int64_t patience, double min_delta = 0.0, const std::string& metric = "loss") {
  EvaluationConfig config;
  config.holdout = 0.1;
  config.patience = patience;
  config.min_delta = min_delta;
  config.metric = metric;
  return config;
}

// After which evaluation it stops, from 1; 0: never.
int stops_after(const EvaluationConfig& config, const std::vector<double>& figures) {
  EarlyStopping stopping(config);
  for (std::size_t i = 0; i < figures.size(); ++i)
    if (stopping.observe(figures[i])) return static_cast<int>(i) + 1;
  return 0;
}

TEST(Better, ByTheMetricAndNeverWhatIsNoNumber) {
  const EvaluationConfig loss = config_of(1), accuracy = config_of(1, 0.0, "accuracy");
  EXPECT_TRUE(is_better(loss, 1.0, 2.0));
  EXPECT_FALSE(is_better(loss, 2.0, 1.0));
  EXPECT_FALSE(is_better(loss, 1.0, 1.0)) << "the earlier of equals stays";
  EXPECT_TRUE(is_better(accuracy, 0.9, 0.8));
  EXPECT_FALSE(is_better(accuracy, 0.8, 0.9));
  EXPECT_FALSE(is_better(loss, 1.5, 2.0, 0.5)) << "not by more than that";
  EXPECT_TRUE(is_better(loss, 1.25, 2.0, 0.5));
  for (const EvaluationConfig& config : {loss, accuracy})
    for (const double no_number : {kNan, kInfinity, -kInfinity}) {
      EXPECT_FALSE(is_better(config, no_number, 1.0));
      EXPECT_FALSE(is_better(config, no_number, kNan));
      EXPECT_TRUE(is_better(config, 1e30, no_number));
    }
  EXPECT_EQ(figure_of(loss, 1.0, 2.0), 1.0);
  EXPECT_EQ(figure_of(accuracy, 1.0, 2.0), 2.0);
}

TEST(EarlyStopping, AfterSoManyWithoutImprovement) {
  EXPECT_EQ(stops_after(config_of(2), {1.0, 0.9, 0.95, 0.92, 0.5}), 4);
  EXPECT_EQ(stops_after(config_of(2), {1.0, 0.9, 0.95, 0.8, 0.85, 0.9}), 6) << "an improvement begins anew";
  EXPECT_EQ(stops_after(config_of(1), {1.0, 1.0}), 2) << "as good is not better";
  EXPECT_EQ(stops_after(config_of(3), {1.0, 2.0, 3.0}), 0);
  EXPECT_EQ(stops_after(config_of(2, 0.0, "accuracy"), {0.5, 0.6, 0.6, 0.55}), 4);
}

TEST(EarlyStopping, WithoutPatienceNever) { EXPECT_EQ(stops_after(config_of(0), {1, 2, 3, 4, 5, kNan, 6}), 0); }

TEST(EarlyStopping, SmallImprovementsCountOnceTheyAddUp) {
  // By more than 0.25: 1.0 is the first, 0.7 the next.
  EXPECT_EQ(stops_after(config_of(3, 0.25), {1.0, 0.9, 0.8, 0.7, 0.65, 0.6, 0.5}), 7);
  EXPECT_EQ(stops_after(config_of(2, 0.25), {1.0, 0.75, 0.75}), 3) << "exactly that much is not more";
}

TEST(EarlyStopping, WhatIsNoNumberIsNoImprovement) {
  EXPECT_EQ(stops_after(config_of(2), {kNan, kNan}), 2) << "also of a job that diverged at once";
  EXPECT_EQ(stops_after(config_of(2), {kNan, 1.0, kNan, 0.9, kInfinity, kNan}), 6);
  EXPECT_EQ(stops_after(config_of(1, 0.0, "accuracy"), {0.5, kInfinity}), 2);
}

TEST(EarlyStopping, SaysStopOnce) {
  EarlyStopping stopping(config_of(1));
  EXPECT_FALSE(stopping.observe(1.0));
  EXPECT_TRUE(stopping.observe(1.0));
  EXPECT_FALSE(stopping.observe(1.0));
  EXPECT_FALSE(stopping.observe(0.5));
}

// ---- the scheduler ----------------------------------------------------------------------------------

Job watched_job() {
  Job job = job_of("asp", 1);
  job.train.steps = 0;
  job.train.epochs = 50;
  job.train.batch = 100;  // an epoch is one clock
  job.evaluation = config_of(2);
  return job;
}

class Watched {
 public:
  explicit Watched(const Job& job) : scheduler_(job) { scheduler_.begin(); }

  // The next epoch passes, and is evaluated.
  void epoch(double loss, bool best) {
    scheduler_.tick(0, clock_++, 100);
    evaluated(loss, best, static_cast<std::uint64_t>(clock_));
  }
  void evaluated(double loss, bool best, std::uint64_t id) {
    protocol::SnapshotTaken taken;
    taken.id = id;
    scheduler_.receive(server_node(0), taken);
    for (const auto& order : scheduler_.sent<protocol::Evaluate>(evaluator_node(0))) last_order_ = order;
    protocol::EvaluationDone done;
    done.snapshot = id;
    done.figures.evaluated = true;
    done.figures.loss = loss;
    done.figures.accuracy = kNan;
    done.best = best;
    if (last_order_.final) {
      done.test = done.figures;
      done.test.loss = 0.125;
      done.best_sha256 = "best";
    }
    scheduler_.receive(evaluator_node(0), done);
  }
  // The worker ends what it had in hand.
  void settle() {
    for (int i = 0; i < 3; ++i) scheduler_.tick(0, clock_++, 100);
  }
  [[nodiscard]] std::vector<nlohmann::ordered_json> lines(const std::string& event) {
    for (auto& line : scheduler_.core.take_metrics()) lines_.push_back(std::move(line));
    std::vector<nlohmann::ordered_json> found;
    for (const auto& line : lines_)
      if (line["event"] == event) found.push_back(line);
    return found;
  }

  Scheduler scheduler_;
  protocol::Evaluate last_order_;
  Clock clock_ = 0;
  std::vector<nlohmann::ordered_json> lines_;
};

TEST(Watched, TheEvaluatorIsToldWhatIsToBeat) {
  Watched job(watched_job());
  job.epoch(3.0, true);
  EXPECT_FALSE(std::isfinite(job.last_order_.to_beat));
  job.epoch(2.0, true);
  EXPECT_EQ(job.last_order_.to_beat, 3.0);
  job.epoch(2.5, false);
  EXPECT_EQ(job.last_order_.to_beat, 2.0);
  job.epoch(1.0, true);
  EXPECT_EQ(job.last_order_.to_beat, 2.0);
  const auto lines = job.lines("evaluation");
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_EQ(lines[2]["validation_loss"], 2.5);
  EXPECT_EQ(lines[2]["best"], false);
  EXPECT_EQ(lines[3]["best"], true);
  EXPECT_FALSE(lines[2].contains("test_loss")) << "the test set was not read";
  const auto status = job.scheduler_.core.status(job.scheduler_.now);
  EXPECT_EQ(status["validation_loss"], 1.0);
  EXPECT_TRUE(status["test_loss"].is_null());
}

TEST(Watched, WithoutImprovementTheJobIsDrainedAndEndsWell) {
  Watched job(watched_job());
  job.epoch(3.0, true);
  job.epoch(2.0, true);
  job.epoch(2.5, false);
  ASSERT_EQ(job.scheduler_.core.phase(), Phase::kTraining);
  job.epoch(2.25, false);
  ASSERT_EQ(job.scheduler_.core.phase(), Phase::kDraining);
  EXPECT_THAT(job.scheduler_.granted(), SizeIs(0));
  const auto said = job.lines("stopped_early");
  ASSERT_THAT(said, SizeIs(1));
  EXPECT_EQ(said[0]["reason"],
            "stopped early: 2 evaluations without a validation loss better by more than 0; the best is 2.0000, after "
            "epoch 2");
  job.scheduler_.core.drain(job.scheduler_.now, job.scheduler_.out);  // a first Ctrl-C changes nothing any more
  job.settle();
  ASSERT_EQ(job.scheduler_.core.phase(), Phase::kFinishing);
  for (std::uint64_t id = 5; job.scheduler_.core.phase() == Phase::kFinishing && id < 12; ++id)
    job.evaluated(2.75, false, id);
  ASSERT_EQ(job.scheduler_.core.phase(), Phase::kOver);
  EXPECT_EQ(job.scheduler_.core.exit_code(), 0);
  const auto final = job.lines("final");
  ASSERT_THAT(final, SizeIs(1));
  EXPECT_EQ(final[0]["stopped_early"], true);
  EXPECT_EQ(final[0]["best_epoch"], 2);
  EXPECT_EQ(final[0]["best_validation_loss"], 2.0);
  EXPECT_EQ(final[0]["best_sha256"], "best");
  EXPECT_EQ(final[0]["validation_loss"], 2.75);
  EXPECT_EQ(final[0]["test_loss"], 0.125);
}

TEST(Watched, AnEvaluationThatComesAfterADrainDecidesNothing) {
  Watched job(watched_job());
  job.epoch(3.0, true);
  job.epoch(3.5, false);
  job.scheduler_.core.drain(job.scheduler_.now, job.scheduler_.out);
  job.epoch(3.5, false);
  job.settle();
  EXPECT_TRUE(job.lines("stopped_early").empty());
  EXPECT_EQ(job.scheduler_.core.exit_code(), static_cast<int>(Cause::kInterrupted));
}

// What a machine makes of its inputs is no loss of labels: it may rise for as long as it likes.
TEST(Watched, WhileMachinesAreTrainedNothingIsDecided) {
  Job file = watched_job();
  file.model.name = "dbn";
  file.model.hidden = {8, 4};
  file.model.pretrain_epochs = 2;
  file.evaluation.patience = 1;
  Watched job(file);
  for (int epoch = 0; epoch < 4; ++epoch) job.epoch(1.0 + epoch, false);
  ASSERT_EQ(job.scheduler_.core.phase(), Phase::kTraining);
  job.epoch(100.0, true);
  EXPECT_FALSE(std::isfinite(job.last_order_.to_beat)) << "no machine's error was to beat";
  EXPECT_EQ(job.scheduler_.core.phase(), Phase::kTraining);
  job.epoch(101.0, false);
  EXPECT_EQ(job.scheduler_.core.phase(), Phase::kDraining);
  const auto lines = job.lines("evaluation");
  EXPECT_EQ(lines.at(0)["machine"], 1);
  EXPECT_EQ(lines.at(0)["validation_reconstruction"], 1.0);
  EXPECT_FALSE(lines.at(0).contains("validation_loss"));
  EXPECT_EQ(lines.at(4)["validation_loss"], 100.0);
}

}  // namespace
}  // namespace rubato::scheduler
