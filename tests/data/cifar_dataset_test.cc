#include "data/cifar_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"

namespace rubato::data {
namespace {

using test::write_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

// Red, green and blue are told from each other, and the first pixel from the next.
std::string record(const std::string& labels, int first) {
  std::string bytes = labels;
  for (int channel = 0; channel < 3; ++channel)
    for (int pixel = 0; pixel < 1024; ++pixel) bytes += static_cast<char>(first + 50 * channel + pixel % 7);
  return bytes;
}

class CifarDatasetTest : public testing::Test {
 protected:
  CifarDatasetTest() {
    job_.data.kind = "cifar";
    job_.data.path = directory_.path().string();
  }
  void write(const std::string& name, const std::string& bytes) const { write_bytes(directory_.file(name), bytes); }
  [[nodiscard]] std::string open_error(Split split = Split::kTrain) const {
    auto dataset = open_dataset(job_, split);
    if (dataset.ok()) return "";
    EXPECT_EQ(dataset.error().cause, Cause::kData);
    return dataset.error().message;
  }
  [[nodiscard]] BatchBuffer gather(Split split) const {
    auto dataset = open_dataset(job_, split);
    EXPECT_TRUE(dataset.ok()) << dataset.error().message;
    EXPECT_EQ((*dataset)->shape(), (SampleShape{32, 32, 3}));
    EXPECT_EQ(size_of_dataset(job_, split)->samples, (*dataset)->size());
    BatchBuffer batch;
    std::vector<std::uint64_t> ids;
    for (std::uint64_t id = 0; id < (*dataset)->size(); ++id) ids.push_back(id);
    EXPECT_TRUE((*dataset)->gather(0, ids, batch).ok());
    return batch;
  }

  rubato::test::TempDirectory directory_;
  Job job_;
};

TEST_F(CifarDatasetTest, PlanesBecomePixelsAndBatchesFollowEachOther) {
  write("data_batch_1.bin", record("\x03", 0) + record("\x09", 20));
  write("data_batch_2.bin", record(std::string(1, '\0'), 40));
  write("test_batch.bin", record("\x05", 60));
  const BatchBuffer batch = gather(Split::kTrain);
  EXPECT_THAT(batch.labels, ElementsAre(3, 9, 0));
  const std::size_t image = std::size_t{3} * 1024;
  for (std::size_t sample = 0; sample < 3; ++sample)
    for (std::size_t pixel = 0; pixel < 1024; ++pixel)
      for (std::size_t channel = 0; channel < 3; ++channel)
        ASSERT_FLOAT_EQ(batch.inputs[sample * image + pixel * 3 + channel],
                        static_cast<float>(20 * sample + 50 * channel + pixel % 7) / 255.0f);
  EXPECT_THAT(gather(Split::kTest).labels, ElementsAre(5));
}

TEST_F(CifarDatasetTest, AHundredClassesAreFineOrCoarse) {
  write("train.bin", record("\x13\x63", 0) + record(std::string("\x01\x00", 2), 1));
  EXPECT_THAT(open_error(), HasSubstr("has labels of 100 classes, and data.classes is 10"));
  job_.data.classes = 100;
  EXPECT_THAT(gather(Split::kTrain).labels, ElementsAre(99, 0));
  job_.data.target = {"coarse"};
  job_.data.classes = 20;
  EXPECT_THAT(gather(Split::kTrain).labels, ElementsAre(19, 1));
}

TEST_F(CifarDatasetTest, ChannelsHaveTheirOwnMeans) {
  job_.data.mean = {0.1, 0.2, 0.3};
  job_.data.stddev = {0.5, 0.25, 0.125};
  write("data_batch_1.bin", record("\x03", 0));
  const BatchBuffer batch = gather(Split::kTrain);
  EXPECT_NEAR(batch.inputs[3], (1 / 255.0 - 0.1) / 0.5, 1e-5);
  EXPECT_NEAR(batch.inputs[4], (51 / 255.0 - 0.2) / 0.25, 1e-5);
  EXPECT_NEAR(batch.inputs[5], (101 / 255.0 - 0.3) / 0.125, 1e-5);
  job_.data.mean = {0.1};
  job_.data.stddev = {1.0, 1.0};
  EXPECT_THAT(open_error(), HasSubstr("expected 2 channels, as data.stddev has numbers, found 3"));
}

TEST_F(CifarDatasetTest, SaysWhatIsWrongWithIt) {
  EXPECT_THAT(open_error(), HasSubstr("expected a folder of CIFAR's, with data_batch_1.bin or train.bin"));
  EXPECT_THAT(open_error(Split::kTest), HasSubstr("test_batch.bin: No such file"));
  write("data_batch_1.bin", record("\x03", 0) + record("\x0A", 20));
  EXPECT_THAT(open_error(), HasSubstr("data_batch_1.bin: expected labels from 0 to 9, found 10 for sample 1"));
  job_.data.target = {"coarse"};
  EXPECT_THAT(open_error(), HasSubstr("is for CIFAR-100, and this is CIFAR-10"));
  job_.data.target.clear();
  write("data_batch_1.bin", "");
  EXPECT_THAT(open_error(), HasSubstr("there is nothing in it"));
  const std::string good = record("\x03", 0) + record("\x04", 20);
  for (std::size_t length = 1; length < good.size(); ++length) {
    write("data_batch_1.bin", good.substr(0, length));
    const std::string message = open_error();
    if (length % 3073 != 0) {
      ASSERT_THAT(message, HasSubstr("cut off: expected 3073 bytes of sample " + std::to_string(length / 3073)));
    } else {
      ASSERT_EQ(message, "");
    }
  }
}

}  // namespace
}  // namespace rubato::data
