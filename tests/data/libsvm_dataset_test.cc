#include "data/libsvm_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/sparse_rows.h"
#include "tests/data/dataset_fixture.h"
#include "tests/data/gathered.h"
#include "tests/data/idx_files.h"

namespace rubato::data {
namespace {

using test::gather_all;
using test::write_bytes;
using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

class LibsvmDatasetTest : public test::DatasetFixture {
 protected:
  LibsvmDatasetTest() {
    job_.data.kind = "libsvm";
    job_.data.train_inputs = directory_.file("train");
    job_.data.test_inputs = directory_.file("test");
    job_.data.classes = 2;
    job_.data.scaling = "none";
  }
  void write(const std::string& text) const { write_bytes(job_.data.train_inputs, text); }
  [[nodiscard]] std::string error_of(const std::string& text) const {
    write(text);
    return open_error();
  }
};

TEST_F(LibsvmDatasetTest, WhatIsNotThereIsZero) {
  write("+1 1:0.5 3:-2 # a remark\n# nothing else\n-1 2:1e1\n-1\n");
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_THAT(batch.inputs, ElementsAre(0.5f, 0, -2, 0, 10, 0, 0, 0, 0));
  EXPECT_THAT(batch.labels, ElementsAre(1, 0, 0));
  job_.data.features = 4;
  EXPECT_EQ((*open_dataset(job_, Split::kTrain))->shape(), (SampleShape{1, 1, 4}));
}

TEST_F(LibsvmDatasetTest, LabelsAreCountedFromTheFirst) {
  job_.data.classes = 3;
  job_.data.first_label = 1;
  write("3 1:1\n1 1:1\n2 1:1\n");
  EXPECT_THAT(gather_all(job_, Split::kTrain).labels, ElementsAre(2, 0, 1));
  EXPECT_EQ(error_of("3 1:1\n0 1:1\n3 1:1\n"),
            "train:2: expected a label from 1 to 3 (data.classes = 3), found 0; of its labels 1 is 0, 2 are 3");
  EXPECT_EQ(error_of("1 1:1\n1.5 1:1\n"),
            "train:2: expected a label from 1 to 3 (data.classes = 3), found 1.5; of its labels 1 is 1, 1 is 1.5");
  std::string many;
  for (int i = 0; i < 9; ++i) many += std::to_string(i) + " 1:1\n";
  EXPECT_THAT(error_of(many), HasSubstr("train:1: expected a label from 1 to 3 (data.classes = 3), found 0; its labels "
                                        "have 9 values, from 0 to 8"));
  job_.data.classes = 2;
  job_.data.first_label = 0;
  write("-1 1:1\n1 1:1\n");
  write_bytes(job_.data.test_inputs, "0 1:1\n");
  EXPECT_EQ(open_error(Split::kTest),
            "test:1: expected a label that is -1 or 1 (data.classes = 2), found 0; of its labels 1 is 0");
}

// Of -1, 1 and a few others these are what is wrong; of 0, 1 and a few -1 those.
TEST_F(LibsvmDatasetTest, TheRareLabelIsTheWrongOne) {
  EXPECT_EQ(error_of("# two classes\n1 1:1\n-1 1:1\n-1 1:1\n2 1:1\n1 1:1\n"),
            "train:5: expected a label that is -1 or 1 (data.classes = 2), found 2; of its labels 2 are -1, 2 are 1, "
            "1 is 2");
  EXPECT_EQ(
      error_of("1 1:1\n0 1:1\n-1 1:1\n0 1:1\n"),
      "train:3: expected a label from 0 to 1 (data.classes = 2), found -1; of its labels 1 is -1, 2 are 0, 1 is 1");
  write("1 1:1\n0 1:1\n");
  write_bytes(job_.data.test_inputs, "1 1:1\n-1 1:1\n");
  EXPECT_EQ(open_error(Split::kTest),
            "test:2: expected a label from 0 to 1 (data.classes = 2), found -1; of its labels 1 is -1, 1 is 1");
  job_.data.first_label = -1;
  EXPECT_EQ(
      error_of("-1 1:1\n0 1:1\n1 1:1\n"),
      "train:3: expected a label from -1 to 0 (data.classes = 2), found 1; of its labels 1 is -1, 1 is 0, 1 is 1");
}

TEST_F(LibsvmDatasetTest, ScalingCountsTheZerosThatAreNotThere) {
  job_.data.scaling = "standard";
  // Of the first: 2, 0, 2, 0: mean 1, deviation 1. Of the second: 0, 0, 0, 4: mean 1, deviation sqrt(3).
  write("0 1:2\n1\n0 1:2\n1 2:4\n");
  write_bytes(job_.data.test_inputs, "1 1:3\n");
  const float low = -0.57735027f, high = 1.7320508f;
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs,
              Pointwise(FloatNear(1e-6f), {1.0f, low, -1.0f, low, 1.0f, low, -1.0f, high}));
  EXPECT_THAT(gather_all(job_, Split::kTest).inputs, Pointwise(FloatNear(1e-6f), {2.0f, low}));
}

TEST_F(LibsvmDatasetTest, NumbersArePredictedWhereTheLossSaysSo) {
  job_.model.loss = "mse";
  write("1.5 1:2\n-0.5 1:3\n");
  EXPECT_THAT(gather_all(job_, Split::kTrain).targets, ElementsAre(1, -1));
  job_.data.target_scaling = "none";
  EXPECT_THAT(gather_all(job_, Split::kTrain).targets, ElementsAre(1.5f, -0.5f));
}

TEST_F(LibsvmDatasetTest, APartOfOneFile) {
  job_.data.path.swap(job_.data.train_inputs);
  std::string text;
  for (int i = 0; i < 50; ++i) text += std::to_string(i % 2) + " 1:" + std::to_string(i) + "\n";
  write_bytes(job_.data.path, text);
  EXPECT_EQ(gather_all(job_, Split::kTrain).count, 40);
  EXPECT_EQ(gather_all(job_, Split::kTest).count, 10);
}

TEST_F(LibsvmDatasetTest, SaysFileAndLine) {
  EXPECT_EQ(error_of("0 1:1\nx 1:1\n"), "train:2: expected a label, found \"x\"");
  EXPECT_EQ(error_of("0 qid:3 1:1\n"), "train:1: expected an index from 1, found \"qid:3\"");
  EXPECT_EQ(error_of("0 0:1\n"), "train:1: expected an index from 1, found \"0:1\"");
  EXPECT_EQ(error_of("0 2:1 2:1\n"), "train:1: expected an index above 2, found \"2:1\"");
  EXPECT_EQ(error_of("0 2\n"), "train:1: expected index:value, found \"2\"");
  EXPECT_EQ(error_of("0 2:nan\n"), "train:1: expected a finite number, found \"2:nan\"");
  EXPECT_EQ(error_of("# nothing\n"), "train: expected rows, found none");
  EXPECT_THAT(error_of("0\n1\n"), HasSubstr("no line has a value"));
  write("0 1:1\n1 2:1\n");
  write_bytes(job_.data.test_inputs, "0 3:1\n");
  EXPECT_EQ(open_error(Split::kTest), "test:1: expected an index of at most 2 (data.features), found \"3:1\"");
  job_.data.skip_max = 1;
  EXPECT_EQ(open_error(Split::kTest), "test: expected rows, found none");
}

// One index costs what it is, whatever is at it: a line of a few bytes may not ask for gigabytes.
TEST_F(LibsvmDatasetTest, AnIndexMayPromiseAnything) {
  EXPECT_THAT(error_of("0 4000000000:1\n"), HasSubstr("expected an index of at most 1048576 (data.features)"));
  EXPECT_THAT(error_of("0 99999999999999999999:1\n"), HasSubstr("expected an index from 1"));
  std::string text;
  for (int i = 0; i < 10000; ++i) text += std::to_string(i % 2) + " 1:1\n";
  write(text + "1 1048576:1\n");  // dense, these would be 40 GB
  const DatasetSize size = size_of_dataset(job_, Split::kTrain).value();
  EXPECT_EQ(size.shape.channels, 1 << 20);
  EXPECT_LT(size.bytes, 10'000'000u);
  BatchBuffer batch;
  EXPECT_TRUE((*open_dataset(job_, Split::kTrain))->gather(0, std::vector<std::uint64_t>{10000}, batch).ok());
  EXPECT_EQ(batch.inputs.back(), 1.0f);
}

TEST_F(LibsvmDatasetTest, DamageIsSurvived) {
  const std::string text = "1 1:0.5 3:-2\n0 2:1e1\n";
  std::size_t noticed = 0;
  for (std::size_t length = 0; length < text.size(); ++length)
    noticed += error_of(text.substr(0, length)).empty() ? 0u : 1u;
  EXPECT_GT(noticed, 3u);
  for (std::size_t at = 0; at < text.size(); ++at)
    for (const int change : {0x01, 0x02, 0x08, 0x10, 0x40, 0x80, 0xFF}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ change);
      noticed += error_of(changed).empty() ? 0u : 1u;
    }
  EXPECT_GT(noticed, text.size() * 3);
}

}  // namespace
}  // namespace rubato::data
