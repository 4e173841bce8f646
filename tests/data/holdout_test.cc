// evaluation.holdout: whatever the kind, the training part without some of its samples, and those.
#include "data/holdout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>

#include "data/other_file.h"
#include "tests/base/temp_directory.h"
#include "tests/data/gathered.h"
#include "tests/data/idx_files.h"
#include "tests/data/picture_files.h"

namespace rubato::data {
namespace {

using test::gather_all;
using test::idx_bytes;
using test::write_bytes;
using testing::ElementsAre;

class HoldoutTest : public testing::Test {
 protected:
  // Of one pixel each: image i has the value i, and the label i % 3.
  void write_idx(std::uint32_t samples) {
    std::string pixels, labels;
    for (std::uint32_t i = 0; i < samples; ++i) {
      pixels += static_cast<char>(i);
      labels += static_cast<char>(i % 3);
    }
    job_.data.kind = "idx";
    job_.data.classes = 3;
    job_.data.train_inputs = job_.data.test_inputs = directory_.file("inputs");
    job_.data.train_labels = job_.data.test_labels = directory_.file("labels");
    write_bytes(job_.data.train_inputs, idx_bytes({samples, 1, 1}, pixels));
    write_bytes(job_.data.train_labels, idx_bytes({samples}, labels));
  }
  // A number for each sample, which nothing but the sample itself decides.
  [[nodiscard]] std::vector<float> firsts(const Job& job, Split split) const {
    const BatchBuffer batch = gather_all(job, split);
    const std::vector<float>& all = batch.inputs.empty() ? batch.targets : batch.inputs;
    const std::size_t width = all.size() / static_cast<std::size_t>(batch.count);
    std::vector<float> found;
    for (std::size_t at = 0; at < all.size(); at += width) found.push_back(all[at]);
    return found;
  }
  [[nodiscard]] static Job without(Job job) {
    job.evaluation.holdout = 0.0;
    return job;
  }
  // Together they are what the training part is without a holdout, and nobody is in both.
  void expect_parted(std::size_t held_out) const {
    std::vector<float> train = firsts(job_, Split::kTrain);
    const std::vector<float> held = firsts(job_, Split::kValidation);
    EXPECT_EQ(held.size(), held_out);
    train.insert(train.end(), held.begin(), held.end());
    std::ranges::sort(train);
    std::vector<float> all = firsts(without(job_), Split::kTrain);
    std::ranges::sort(all);
    EXPECT_EQ(train, all);
    EXPECT_EQ(firsts(job_, Split::kTest), firsts(without(job_), Split::kTest)) << "the test part stays";
  }

  rubato::test::TempDirectory directory_;
  Job job_;
};

TEST_F(HoldoutTest, TrainingSamplesAreDrawnBySplitSeed) {
  write_idx(40);
  job_.evaluation.holdout = 0.2;
  expect_parted(8);
  const std::vector<float> held = firsts(job_, Split::kValidation);
  EXPECT_TRUE(std::ranges::is_sorted(held));
  EXPECT_NE(held.back() - held.front(), 7 / 255.0f) << "they are no stretch of the file";
  job_.train.seed = 99;
  EXPECT_EQ(firsts(job_, Split::kValidation), held) << "what is held out is a matter of the data";
  job_.data.split_seed = 1;
  EXPECT_NE(firsts(job_, Split::kValidation), held);
}

TEST_F(HoldoutTest, LabelsAndNumbersGoWithTheirSamples) {
  write_idx(40);
  job_.evaluation.holdout = 0.3;
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    const BatchBuffer batch = gather_all(job_, split);
    for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
      const auto image = static_cast<std::int32_t>(std::lround(batch.inputs[i] * 255.0f));
      EXPECT_EQ(batch.labels[i], image % 3);
      EXPECT_EQ(batch.sample_ids[i], static_cast<std::uint64_t>(image)) << "the number that it has in the file";
    }
  }
}

TEST_F(HoldoutTest, ManifestChecksSeeWhatIsHeldOut) {
  write_idx(40);
  std::set<std::string> fingerprints;
  for (const double share : {0.0, 0.1, 0.2})
    for (const std::uint64_t seed : {0u, 1u}) {
      job_.evaluation.holdout = share;
      job_.data.split_seed = seed;
      const auto train = open_dataset(job_, Split::kTrain).value();
      fingerprints.insert(train->fingerprint());
      EXPECT_EQ(open_dataset(job_, Split::kTrain).value()->fingerprint(), train->fingerprint());
    }
  EXPECT_EQ(fingerprints.size(), 5u) << "without a holdout the seed says nothing";
}

TEST_F(HoldoutTest, OneReadingServesBothParts) {
  write_idx(40);
  job_.evaluation.holdout = 0.25;
  const TrainingParts parts = open_training_parts(job_).value();
  EXPECT_EQ(parts.train->fingerprint(), open_dataset(job_, Split::kTrain).value()->fingerprint());
  EXPECT_EQ(parts.held_out->fingerprint(), open_dataset(job_, Split::kValidation).value()->fingerprint());
  EXPECT_EQ(size_of_dataset(job_, Split::kTrain)->bytes, size_of_dataset(without(job_), Split::kTrain)->bytes + 30 * 8);
  EXPECT_EQ(size_of_dataset(job_, Split::kValidation)->bytes, 10u * 8) << "beside the training part";
  EXPECT_EQ(open_training_parts(without(job_)).value().held_out, nullptr);
}

TEST_F(HoldoutTest, TooFewSamplesAreSaid) {
  write_idx(1);
  job_.evaluation.holdout = 0.1;
  const auto dataset = open_dataset(job_, Split::kTrain);
  ASSERT_FALSE(dataset.ok());
  EXPECT_EQ(dataset.error().cause, Cause::kData);
  EXPECT_EQ(dataset.error().message,
            "evaluation.holdout = 0.1, 10% of 1 training sample, is none: hold out enough to decide by, 0.1 for "
            "instance");
  job_.evaluation.holdout = 0.9;
  EXPECT_EQ(open_dataset(job_, Split::kTrain).error().message,
            "evaluation.holdout = 0.9, 90% of 1 training sample, leaves none to train on");
}

// A share that is nearest to no sample at all is none, whatever the kind.
TEST_F(HoldoutTest, AShareOfNoneIsRefused) {
  write_idx(200);
  job_.evaluation.holdout = 0.002;
  EXPECT_EQ(open_dataset(job_, Split::kValidation).error().message,
            "evaluation.holdout = 0.002, 0.2% of 200 training samples, is none: hold out enough to decide by, 0.1 for "
            "instance");
  EXPECT_FALSE(size_of_dataset(job_, Split::kTrain).ok());
  job_.evaluation.holdout = 0.003;
  expect_parted(1);
  std::string table = "x,y\n";
  for (int i = 0; i < 200; ++i) table += "1,2\n";
  for (const char* kind : {"csv", "series"}) {
    job_.model.loss = "mse";
    job_.data.kind = kind;
    job_.data.target = {"y"};
    job_.data.path = directory_.file("table");
    write_bytes(job_.data.path, table);
    job_.evaluation.holdout = 0.0001;
    EXPECT_EQ(open_dataset(job_, Split::kTrain).error().message,
              job_.data.path + ": 0.008% of 200 " + (job_.data.kind == "csv" ? "rows" : "lines") +
                  " for validation is none, and one of them is 0.5%: raise evaluation.holdout or "
                  "data.validation_fraction");
  }
}

TEST_F(HoldoutTest, FewToDecideByAreSaid) {
  write_idx(200);
  EXPECT_EQ(holdout_warning(job_, 1), "") << "nothing is decided";
  job_.evaluation.holdout = 0.005;
  EXPECT_EQ(holdout_warning(job_, 1),
            "evaluation.holdout = 0.005 holds out 1 sample of 3 classes: few to decide by; the standard error of an "
            "accuracy p of n samples is sqrt(p (1 - p) / n), up to 0.50 here; hold out 30 or more");
  EXPECT_THAT(holdout_warning(job_, 29), testing::HasSubstr("holds out 29 samples: few to decide by"));
  EXPECT_EQ(holdout_warning(job_, 30), "");
  job_.data.classes = 100;
  EXPECT_THAT(holdout_warning(job_, 99), testing::HasSubstr("99 samples of 100 classes: few"));
  EXPECT_THAT(holdout_warning(job_, 99), testing::EndsWith("up to 0.05 here; hold out 100 or more"));
  EXPECT_EQ(holdout_warning(job_, 100), "");
  job_.model.loss = "mse";
  EXPECT_EQ(holdout_warning(job_, 30), "") << "numbers have no classes";
  EXPECT_THAT(holdout_warning(job_, 2), testing::HasSubstr("of n losses is their deviation / sqrt(n)"));
  job_.model.loss = "cross_entropy";
  job_.data.kind = "text";
  job_.data.window = 10;
  EXPECT_EQ(holdout_warning(job_, 3), "") << "each byte of a window is an answer";
  EXPECT_NE(holdout_warning(job_, 2), "");
}

TEST_F(HoldoutTest, FewToJudgeByAreSaid) {
  write_idx(200);
  EXPECT_EQ(evaluated_warning(job_, 1), "") << "who gives a file for the test knows how many are in it";
  job_.data.kind = "csv";
  job_.data.path = "table";
  job_.data.test_fraction = 0.005;
  EXPECT_EQ(evaluated_warning(job_, 1),
            "data.test_fraction = 0.005 leaves 1 sample of 3 classes: few to judge by; the standard error of an "
            "accuracy p of n samples is sqrt(p (1 - p) / n), up to 0.50 here; 30 or more say more");
  EXPECT_EQ(evaluated_warning(job_, 30), "");
  job_.evaluation.part = "validation";
  job_.data.validation_fraction = 0.1;
  EXPECT_THAT(evaluated_warning(job_, 20),
              testing::StartsWith("data.validation_fraction = 0.1 leaves 20 samples: few"));
  job_.data.path.clear();
  EXPECT_EQ(evaluated_warning(job_, 1), "") << "the test has a table of its own";
  job_.data.kind = "folder";
  job_.evaluation.part = "test";
  EXPECT_THAT(evaluated_warning(job_, 20), testing::StartsWith("the test part has 20 samples: few to judge by; "));
}

TEST_F(HoldoutTest, PointsOfTheQuadratic) {
  job_.model.name = "quadratic";
  job_.model.size = 3;
  job_.data.kind = "synthetic";
  job_.data.samples = 20;
  job_.evaluation.holdout = 0.5;
  expect_parted(10);
}

// The two tables of a csv job are views too; a table that is split has a part for validation of its own, by which
// nothing is scaled.
TEST_F(HoldoutTest, TablesWithAndWithoutASplit) {
  job_.model.loss = "mse";
  job_.data.kind = "csv";
  job_.data.target = {"y"};
  job_.data.scaling = job_.data.target_scaling = "none";
  std::string text = "x,y\n";
  for (int i = 0; i < 50; ++i) text += std::to_string(i) + "," + std::to_string(2 * i) + "\n";
  job_.data.train_inputs = job_.data.test_inputs = directory_.file("table");
  write_bytes(job_.data.train_inputs, text);
  job_.evaluation.holdout = 0.1;
  expect_parted(5);

  job_.data.path = job_.data.train_inputs;
  job_.data.train_inputs = job_.data.test_inputs = "";
  job_.data.test_fraction = 0.2;
  job_.evaluation.holdout = 0.25;
  expect_parted(10);

  job_.data.scaling = "standard";
  const BatchBuffer train = gather_all(job_, Split::kTrain);
  const double sum = std::accumulate(train.inputs.begin(), train.inputs.end(), 0.0);
  EXPECT_NEAR(sum, 0.0, 1e-4) << "scaled by what is trained on, and by that alone";
}

// Inputs that come later are scaled as those that the weights were trained on.
TEST_F(HoldoutTest, InputsAloneAreScaledAsInTraining) {
  job_.model.loss = "mse";
  job_.data.kind = "csv";
  job_.data.target = {"y"};
  std::string text = "x,y\n";
  for (int i = 0; i < 50; ++i) text += std::to_string(i * i) + "," + std::to_string(2 * i) + "\n";
  job_.data.path = directory_.file("table");
  write_bytes(job_.data.path, text);
  write_bytes(directory_.file("inputs"), "x\n0\n");
  const auto scaled_zero = [&] {
    const auto inputs = open_inputs_alone(job_, directory_.file("inputs")).value();
    BatchBuffer batch;
    EXPECT_TRUE(inputs->gather(0, std::vector<std::uint64_t>{0}, batch).ok());
    return batch.inputs.at(0);
  };
  const float with_all = scaled_zero();
  job_.evaluation.holdout = 0.4;
  Job split = without_holdout(job_);
  EXPECT_NEAR(split.data.validation_fraction, 0.4 * 0.8, 1e-12);
  EXPECT_NE(scaled_zero(), with_all);
  std::swap(job_, split);
  const float as_trained = scaled_zero();
  std::swap(job_, split);
  EXPECT_EQ(scaled_zero(), as_trained);
}

TEST_F(HoldoutTest, GroupsStayTogether) {
  job_.model.loss = "mse";
  job_.data.kind = "csv";
  job_.data.target = {"y"};
  job_.data.group = "who";
  job_.data.columns = {"x"};
  job_.data.scaling = job_.data.target_scaling = "none";
  std::string text = "who,x,y\n";
  for (int i = 0; i < 60; ++i) text += "p" + std::to_string(i / 6) + "," + std::to_string(i / 6) + ",1\n";
  job_.data.path = directory_.file("table");
  write_bytes(job_.data.path, text);
  job_.evaluation.holdout = 0.25;
  std::set<float> seen;
  std::size_t groups = 0;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const std::vector<float> whose = firsts(job_, split);
    const std::set<float> of(whose.begin(), whose.end());
    EXPECT_EQ(whose.size(), 6 * of.size()) << "all six rows of each";
    groups += of.size();
    seen.insert(of.begin(), of.end());
  }
  EXPECT_EQ(groups, 10u);
  EXPECT_EQ(seen.size(), 10u) << "nobody is on two sides";
}

TEST_F(HoldoutTest, SparseRowsWithAndWithoutASplit) {
  job_.data.kind = "libsvm";
  job_.data.classes = 2;
  job_.data.scaling = "none";
  std::string text;
  for (int i = 1; i <= 40; ++i) text += (i % 2 ? "+1 1:" : "-1 1:") + std::to_string(i) + "\n";
  job_.data.train_inputs = job_.data.test_inputs = directory_.file("rows");
  write_bytes(job_.data.train_inputs, text);
  job_.evaluation.holdout = 0.1;
  expect_parted(4);
  job_.data.path = job_.data.train_inputs;
  job_.data.train_inputs = job_.data.test_inputs = "";
  expect_parted(3);  // of 32
}

// The last stretch before the test, and no window of training sees a line of it, however windows overlap.
TEST_F(HoldoutTest, WhatGoesOnInTimeIsCutBeforeWindowsAreMade) {
  job_.model.loss = "mse";
  job_.data.kind = "series";
  job_.data.path = directory_.file("series");
  job_.data.target = {"cars"};
  job_.data.window = 3;
  job_.data.horizon = 2;
  job_.data.test_fraction = 0.25;
  job_.data.scaling = job_.data.target_scaling = "none";
  std::string text = "cars\n";
  for (int i = 0; i < 40; ++i) text += std::to_string(i) + "\n";
  write_bytes(job_.data.path, text);
  job_.evaluation.holdout = 0.3;  // lines 21 to 29 of 0 to 29
  const BatchBuffer train = gather_all(job_, Split::kTrain), held = gather_all(job_, Split::kValidation);
  EXPECT_EQ(train.count, 21 - 4);
  EXPECT_EQ(held.count, 9 - 4);
  EXPECT_EQ(std::ranges::max(train.targets), 20.0f);
  EXPECT_EQ(std::ranges::min(held.inputs), 21.0f);
  EXPECT_EQ(std::ranges::max(held.targets), 29.0f);
  EXPECT_EQ(firsts(job_, Split::kTest), firsts(without(job_), Split::kTest));
}

TEST_F(HoldoutTest, TextKeepsItsLastStretch) {
  job_.model.name = "gpt";
  job_.data.kind = "text";
  job_.data.classes = 256;
  job_.data.path = directory_.file("text");
  job_.data.window = 2;
  job_.data.test_fraction = 0.25;
  write_bytes(job_.data.path, "abcdefghijklmnop");
  job_.evaluation.holdout = 0.25;  // jkl
  EXPECT_THAT(gather_all(job_, Split::kTrain).labels,
              ElementsAre('b', 'c', 'c', 'd', 'd', 'e', 'e', 'f', 'f', 'g', 'g', 'h', 'h', 'i'));
  EXPECT_THAT(gather_all(job_, Split::kValidation).labels, ElementsAre('k', 'l'));
  EXPECT_THAT(gather_all(job_, Split::kTest).inputs, ElementsAre('m', 'n'));
}

// An image that is held out looks as it would in a test: nothing is cut out of it at random.
TEST_F(HoldoutTest, ImagesOfAFolderAreHeldOutAsTheyAreTested) {
  for (const char* part : {"train", "test"})
    for (const char* of : {"cat", "dog"})
      for (int i = 0; i < 6; ++i) {
        const auto path = directory_.path() / part / of / (std::to_string(i) + ".png");
        std::filesystem::create_directories(path.parent_path());
        write_bytes(path.string(), test::png_bytes(test::pattern(20 + i, 30 + (of[0] == 'c'), 3)));
      }
  job_.data.kind = "folder";
  job_.data.path = directory_.path().string();
  job_.data.classes = 2;
  job_.data.image_size = 8;
  job_.evaluation.holdout = 0.25;
  const auto held = open_dataset(job_, Split::kValidation).value();
  EXPECT_EQ(open_dataset(job_, Split::kTrain).value()->size(), 9u);
  ASSERT_EQ(held->size(), 3u);
  std::vector<std::uint64_t> ids{0, 1, 2};
  BatchBuffer once, later, plain;
  ASSERT_TRUE(held->gather(0, ids, once).ok());
  ASSERT_TRUE(held->gather(7, ids, later).ok());
  EXPECT_EQ(once.inputs, later.inputs) << "whatever the epoch";
  Job tested = without(job_);
  tested.data.crop = "center";
  tested.data.flip = 0.0;
  ASSERT_TRUE(open_dataset(tested, Split::kTrain).value()->gather(0, once.sample_ids, plain).ok());
  EXPECT_EQ(once.inputs, plain.inputs);
  EXPECT_EQ(open_training_parts(job_).value().held_out->fingerprint(), held->fingerprint());
}

}  // namespace
}  // namespace rubato::data
