#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "base/job.h"
#include "tests/base/temp_directory.h"

namespace rubato {
namespace {

using testing::HasSubstr;

class JobPretrainedTest : public testing::Test {
 protected:
  JobPretrainedTest() { std::ofstream(directory_.file("w.safetensors")) << "abc"; }
  [[nodiscard]] Result<Job> load(const std::string& model, const Overrides& overrides = {}) const {
    std::ofstream(directory_.file("job.toml"))
        << "[model]\n"
        << model << "\n[data]\ntrain_inputs = \"a\"\ntrain_labels = \"b\"\n[evaluation]\nenabled = false\n";
    return load_job(directory_.file("job.toml"), overrides);
  }

  test::TempDirectory directory_;
  const std::string logistic_ = "name = \"logistic\"\npretrained = \"w.safetensors\"\n";
};

TEST_F(JobPretrainedTest, LoadingSaysWhereTheFileLiesAndWhatItIs) {
  const auto job = load(logistic_);
  ASSERT_TRUE(job.ok()) << job.error().message;
  EXPECT_EQ(job->model.pretrained, directory_.file("w.safetensors"));
  EXPECT_EQ(job->model.pretrained_sha256, sha256_hex("abc"));
  EXPECT_EQ(parse_job(write_job(*job), "again").value(), *job);
}

TEST_F(JobPretrainedTest, TheHashIsAboutWhatTheFileIsAndNotWhereItLies) {
  const Job job = load(logistic_).value();
  std::filesystem::copy_file(directory_.file("w.safetensors"), directory_.file("copy"));
  EXPECT_EQ(job_hash(load(logistic_, {{"model.pretrained", directory_.file("copy")}}).value()), job_hash(job));
  std::ofstream(directory_.file("copy")) << "abd";
  EXPECT_NE(job_hash(load(logistic_, {{"model.pretrained", directory_.file("copy")}}).value()), job_hash(job));
  EXPECT_NE(job_hash(load(logistic_, {{"model.skip", "[\"fc.*\"]"}}).value()), job_hash(job));
}

TEST_F(JobPretrainedTest, AResolvedJobDoesNotReadTheFileAgain) {
  const Job job = load(logistic_).value();
  std::filesystem::remove(directory_.file("w.safetensors"));
  std::ofstream(directory_.file("job.toml")) << write_job(job);
  EXPECT_EQ(load_job(directory_.file("job.toml")).value(), job);
}

TEST_F(JobPretrainedTest, WhatIsWrongNamesKeyAndLine) {
  const auto error_of = [&](const std::string& model) {
    const auto job = load(model);
    return job.ok() ? "(no error)" : job.error().message;
  };
  EXPECT_THAT(error_of("name = \"logistic\"\npretrained = \"nothing\""),
              HasSubstr("job.toml:3: model.pretrained: " + directory_.file("nothing") + ": No such file"));
  EXPECT_THAT(error_of("name = \"logistic\"\npretrained = \"/dev/zero\""), HasSubstr("/dev/zero: is no regular file"));
  EXPECT_THAT(error_of(logistic_ + "pretrained_sha256 = \"12\""), HasSubstr("64 hexadecimal digits"));
  const auto quadratic =
      parse_job("[model]\nname = \"quadratic\"\npretrained = \"w\"\n[data]\nkind = \"synthetic\"", "j");
  EXPECT_THAT(quadratic.error().message,
              HasSubstr("j:3: model.pretrained does not go with model.name = \"quadratic\""));
}

TEST_F(JobPretrainedTest, PatternsWithoutAFileAreNoted) {
  const Job job = load("name = \"logistic\"\nskip = \"fc.*\"").value();
  EXPECT_THAT(job_notes(job), testing::ElementsAre("model.skip has no effect on weights that are all drawn"));
}

}  // namespace
}  // namespace rubato
