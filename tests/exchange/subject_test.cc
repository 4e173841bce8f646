#include "exchange/subject.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "data/safetensors.h"
#include "data/weights_metadata.h"
#include "exchange/export.h"
#include "tests/base/temp_directory.h"

namespace rubato::exchange {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The run of a job whose data is gone: a logistic regression of images of 1 x 2 x 2 in two classes.
class SubjectTest : public testing::Test {
 protected:
  SubjectTest() {
    std::filesystem::create_directory(directory_.file("run"));
    job_.model.name = "logistic";
    job_.data.classes = 2;
    job_.data.train_inputs = job_.data.train_labels = job_.data.test_inputs = job_.data.test_labels = "/nowhere";
    std::ofstream(directory_.file("run/job.toml")) << write_job(job_);
    write({{data::kLayoutKey, data::kChannelsLast}, {data::kInputKey, "1 2 2"}, {data::kTargetsKey, "0"}});
  }
  void write(const data::Metadata& metadata) {
    const std::vector<float> weight{1, 2, 3, 4, 5, 6, 7, 8}, bias{9, 10};
    const std::vector<data::TensorView> tensors{{"fc.weight", {2, 4}, std::span(weight)},
                                                {"fc.bias", {2}, std::span(bias)}};
    ASSERT_TRUE(data::write_safetensors(directory_.file("run/final.safetensors"), tensors, metadata).ok());
  }
  std::string error_of(const std::string& path, const std::string& job_file = "") {
    const auto subject = open_subject(directory_.file(path), job_file, {});
    return subject.ok() ? "(no error)" : subject.error().message;
  }

  rubato::test::TempDirectory directory_;
  Job job_;
};

TEST_F(SubjectTest, ARunNeedsNoData) {
  const auto subject = open_subject(directory_.file("run"), "", {});
  ASSERT_TRUE(subject.ok()) << subject.error().message;
  EXPECT_EQ(subject->data.shape, (data::SampleShape{1, 2, 2}));
  EXPECT_THAT(subject->weights, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
}

TEST_F(SubjectTest, OfARunThatHeldSamplesOutTheBestWeightsAreTaken) {
  const std::string final = directory_.file("run/final.safetensors"), best = directory_.file("run/best.safetensors");
  EXPECT_EQ(open_subject(directory_.file("run"), "", {})->weights_file, final);
  std::filesystem::copy_file(final, best);
  EXPECT_EQ(open_subject(directory_.file("run"), "", {})->weights_file, best);
  EXPECT_EQ(open_subject(final, directory_.file("run/job.toml"), {})->weights_file, final) << "as it is asked for";
  std::filesystem::remove(final);
  EXPECT_EQ(open_subject(directory_.file("run"), "", {})->weights_file, best) << "also before the end";
}

TEST_F(SubjectTest, AnExportedFileSaysWhatItIsOfAndHasPyTorchsLayout) {
  const auto run = open_subject(directory_.file("run"), "", {});
  ASSERT_TRUE(run.ok());
  const std::string to = directory_.file("out.safetensors");
  ASSERT_TRUE(export_weights(*run, to).ok());
  const auto file = data::read_safetensors(to);
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(file->tensors.front().values, ElementsAre(1, 3, 2, 4, 5, 7, 6, 8)) << "channels before pixels";
  EXPECT_EQ(file->metadata.at("format"), "pt");
  const auto again = open_subject(to, "", {});
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->weights, run->weights);
  EXPECT_EQ(again->job, run->job);
}

TEST_F(SubjectTest, OverridesAreHeardOfBothKinds) {
  const auto run = open_subject(directory_.file("run"), "", {{"evaluation.batch", "7"}});
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->job.evaluation.batch, 7);
  ASSERT_TRUE(export_weights(*run, directory_.file("out.safetensors")).ok());
  EXPECT_EQ(open_subject(directory_.file("out.safetensors"), "", {{"evaluation.batch", "9"}})->job.evaluation.batch, 9);
}

TEST_F(SubjectTest, WhatIsMissingIsSaid) {
  EXPECT_THAT(error_of("nothing"), HasSubstr("no such run or file"));
  std::filesystem::create_directory(directory_.file("empty"));
  EXPECT_THAT(error_of("empty"), HasSubstr("there is no final.safetensors in it"));
  EXPECT_THAT(error_of("run/final.safetensors"), HasSubstr("give --job JOB.toml"));
  EXPECT_EQ(error_of("run/final.safetensors", directory_.file("run/job.toml")), "(no error)");
}

TEST_F(SubjectTest, AShapeThatIsNoShapeIsLookedForInTheData) {
  for (const char* text : {"", "1 2", "1 2 2 1", "1 2 -2", "1  2 2", "1 2 2 ", "1,2,2", "1 2 99999999999999999999"}) {
    write({{data::kLayoutKey, data::kChannelsLast}, {data::kInputKey, text}, {data::kTargetsKey, "0"}});
    EXPECT_THAT(error_of("run"), HasSubstr("/nowhere")) << text;
  }
}

}  // namespace
}  // namespace rubato::exchange
