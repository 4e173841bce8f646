// RUN/plan.json: written once for a job, and read by whoever computes for it.
#include "worker/job_plan.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "kernels/plan_book.h"
#include "tests/base/temp_directory.h"

namespace rubato::worker {
namespace {

class JobPlan : public testing::Test {
 protected:
  static Job job_with(const std::string& plan) {
    Job job;
    job.model.name = "cnn";
    job.model.channels = {16, 32};
    job.train.batch = 8;
    job.train.micro_batches = 2;
    job.evaluation.batch = 8;
    job.worker.plan = plan;
    return job;
  }
  [[nodiscard]] std::string run_dir() const { return directory_.path().string(); }
  [[nodiscard]] std::string written() const {
    std::ifstream file(run_dir() + "/plan.json");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  const DataSizes data_{{.samples = 64, .shape = {12, 12, 1}}, {{.samples = 20, .shape = {12, 12, 1}}}};
  test::TempDirectory directory_;
};

TEST_F(JobPlan, ByRuleThereIsNone) {
  EXPECT_EQ(write_plan(job_with("rule"), data_, run_dir()).value(), "");
  EXPECT_EQ(written(), "");
  EXPECT_TRUE(open_job_device(job_with("rule"), run_dir()).ok());
}

TEST_F(JobPlan, MeasuredItHasWhatWorkersAndTheEvaluatorCompute) {
  const std::string said = write_plan(job_with("measure"), data_, run_dir()).value();
  const kernels::PlanBook book = kernels::PlanBook::parse(written(), "plan.json").value();
  // Two convolutions forward and backward, but for the gradient of the images, and forward alone.
  EXPECT_EQ(book.size(), 2u + 3u + 2u) << written();
  EXPECT_TRUE(said.starts_with("the best ways of 7 calls measured in ")) << said;
  EXPECT_TRUE(open_job_device(job_with("measure"), run_dir()).ok());
}

// To measure takes memory and time of as many samples as are measured.
TEST_F(JobPlan, NoMoreSamplesAreMeasuredThanAreEvaluated) {
  Job job = job_with("measure");
  job.evaluation.batch = std::int64_t{1} << 40;
  const auto said = write_plan(job, data_, run_dir());
  ASSERT_TRUE(said.ok()) << said.error().message;
  EXPECT_TRUE(said->starts_with("the best ways of 7 calls measured in ")) << *said;
}

TEST_F(JobPlan, OfAFileIsThatFile) {
  ASSERT_TRUE(write_plan(job_with("measure"), data_, run_dir()).ok());
  const test::TempDirectory other;
  const Job job = job_with("file:" + run_dir() + "/plan.json");
  const std::string said = write_plan(job, data_, other.path().string()).value();
  EXPECT_TRUE(said.starts_with(run_dir() + "/plan.json has 7 of this network's 7 choices, measured on cpu, 1 thread"))
      << said;
  std::ifstream file(other.path() / "plan.json");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), written());
  EXPECT_TRUE(open_job_device(job, other.path().string()).ok());
}

TEST_F(JobPlan, OfAFileOfAnotherNetworkSaysHowMuchOfItFits) {
  ASSERT_TRUE(write_plan(job_with("measure"), data_, run_dir()).ok());
  const test::TempDirectory other;
  const auto said = [&](const std::vector<std::int64_t>& channels) {
    Job job = job_with("file:" + run_dir() + "/plan.json");
    job.model.channels = channels;
    return write_plan(job, data_, other.path().string()).value();
  };
  // The first convolution, in training and in evaluation: 2 and 1.
  const std::string some = said({16, 48}), none = said({24, 48});
  EXPECT_NE(some.find("plan.json has 3 of this network's 7 choices"), std::string::npos) << some;
  EXPECT_TRUE(some.ends_with("; the others go by rule")) << some;
  EXPECT_NE(none.find("has 0 of this network's 7 choices"), std::string::npos) << none;
  EXPECT_TRUE(none.ends_with(": it is of another network, and all go by rule")) << none;
}

TEST_F(JobPlan, SaysWhatIsMissing) {
  const auto missing = open_job_device(job_with("measure"), run_dir());
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().cause, Cause::kUsage);
  EXPECT_TRUE(missing.error().message.starts_with("cannot read the plan " + run_dir() + "/plan.json"))
      << missing.error().message;
  const auto nowhere = write_plan(job_with("file:/nowhere/plan.json"), data_, run_dir());
  ASSERT_FALSE(nowhere.ok());
  EXPECT_TRUE(nowhere.error().message.starts_with("cannot read the plan /nowhere/plan.json"))
      << nowhere.error().message;
}

TEST_F(JobPlan, OfANetworkWithoutConvolutionsSaysSo) {
  Job job = job_with("measure");
  job.model.name = "logistic";
  EXPECT_EQ(write_plan(job, data_, run_dir()).value(), "worker.plan has nothing to choose in this network");
  EXPECT_TRUE(open_job_device(job, run_dir()).ok());
}

}  // namespace
}  // namespace rubato::worker
