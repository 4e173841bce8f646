#include "data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"

namespace rubato::data {
namespace {

using test::idx_bytes;
using test::write_bytes;
using testing::ElementsAre;
using testing::EndsWith;
using testing::FloatNear;
using testing::Pointwise;

class IdxDatasetTest : public testing::Test {
 protected:
  IdxDatasetTest() {
    job_.data.train_inputs = directory_.file("inputs");
    job_.data.train_labels = directory_.file("labels");
    job_.data.classes = 3;
    // Three samples of 1 x 2 x 1.
    write_bytes(job_.data.train_inputs, idx_bytes({3, 1, 2}, std::string("\x00\xFF\x33\x66\x01\x02", 6)));
    write_bytes(job_.data.train_labels, idx_bytes({3}, std::string("\x02\x00\x01", 3)));
  }
  std::unique_ptr<Dataset> open() {
    auto dataset = open_dataset(job_, Split::kTrain);
    EXPECT_TRUE(dataset.ok()) << dataset.error().message;
    return std::move(dataset).value();
  }
  std::string open_error() {
    auto dataset = open_dataset(job_, Split::kTrain);
    if (dataset.ok()) return "(no error)";
    EXPECT_EQ(dataset.error().cause, Cause::kData);
    return dataset.error().message;
  }

  rubato::test::TempDirectory directory_;
  Job job_;
};

TEST_F(IdxDatasetTest, GathersNormalizedSamplesInTheOrderAskedFor) {
  job_.data.mean = {0.25};
  job_.data.stddev = {0.5};
  const auto dataset = open();
  EXPECT_EQ(dataset->size(), 3u);
  EXPECT_EQ(dataset->shape(), (SampleShape{1, 2, 1}));
  EXPECT_EQ(dataset->target_floats(), 0);
  BatchBuffer batch;
  EXPECT_TRUE(dataset->gather(0, std::vector<std::uint64_t>{1, 0, 1}, batch).ok());
  EXPECT_EQ(batch.count, 3);
  EXPECT_THAT(batch.inputs, Pointwise(FloatNear(1e-6f), {-0.1f, 0.3f, -0.5f, 1.5f, -0.1f, 0.3f}));
  EXPECT_THAT(batch.labels, ElementsAre(0, 2, 0));
  EXPECT_THAT(batch.sample_ids, ElementsAre(1, 0, 1));
  EXPECT_TRUE(batch.targets.empty());
  EXPECT_TRUE(dataset->gather(0, {}, batch).ok());
  EXPECT_EQ(batch.count, 0);
  EXPECT_TRUE(batch.inputs.empty() && batch.labels.empty() && batch.sample_ids.empty());
}

// People may ask for any part of a job's data.
TEST_F(IdxDatasetTest, SaysWhichPartTheJobHasNot) {
  const auto error_of = [&](Split split) {
    const auto dataset = open_dataset(job_, split);
    return dataset.ok() ? "" : dataset.error().message;
  };
  const std::string hold_out =
      ": a job with evaluation.holdout, of 0.1 for a tenth, has held out a part of its training samples";
  EXPECT_EQ(error_of(Split::kValidation), "data.kind = \"idx\" has no validation part here" + hold_out);
  EXPECT_EQ(error_of(Split::kTest), "the job has no test part: data.test_inputs is not given");
  job_.data.test_inputs = job_.data.train_inputs;
  EXPECT_EQ(error_of(Split::kTest), "the job has no test part: data.test_labels is not given");
  job_.data = DataConfig();
  job_.data.path = directory_.file("table");
  job_.data.target = {"y"};
  job_.data.classes = 2;
  write_bytes(job_.data.path, "x,y\n1,0\n2,1\n3,0\n4,1\n");
  for (const char* const kind : {"csv", "libsvm", "series", "text"}) {
    job_.data.kind = kind;
    job_.data.test_fraction = 0.25;
    EXPECT_EQ(error_of(Split::kValidation),
              job_.data.path + ": data.validation_fraction = 0 leaves no validation part" + hold_out);
    job_.data.test_fraction = 0.0;
    EXPECT_EQ(error_of(Split::kTest), job_.data.path + ": data.test_fraction = 0 leaves no test part");
  }
  job_.data.kind = "csv";
  EXPECT_EQ(error_of(Split::kTrain), "");
  job_.evaluation.holdout = 0.25;
  EXPECT_EQ(error_of(Split::kValidation), "");
}

TEST_F(IdxDatasetTest, ReadsShapesOfTwoAndFourExtentsToo) {
  write_bytes(job_.data.train_inputs, idx_bytes({3, 2}, "abcdef"));
  EXPECT_EQ(open()->shape(), (SampleShape{1, 1, 2}));
  write_bytes(job_.data.train_inputs, idx_bytes({3, 1, 2, 3}, std::string(18, 'a')));
  EXPECT_EQ(open()->shape(), (SampleShape{1, 2, 3}));
}

TEST_F(IdxDatasetTest, TheFingerprintCoversInputsLabelsAndShapeButNotTheCompression) {
  const std::string before = open()->fingerprint();
  EXPECT_EQ(before.size(), 64u);
  const std::string inputs("\x00\xFF\x33\x66\x01\x02", 6);
  write_bytes(job_.data.train_inputs, test::gzip(idx_bytes({3, 1, 2}, inputs)));
  EXPECT_EQ(open()->fingerprint(), before);
  write_bytes(job_.data.train_inputs, idx_bytes({3, 2, 1}, inputs));
  EXPECT_NE(open()->fingerprint(), before);
  write_bytes(job_.data.train_inputs, idx_bytes({3, 1, 2}, std::string("\x01\xFF\x33\x66\x01\x02", 6)));
  EXPECT_NE(open()->fingerprint(), before);
  write_bytes(job_.data.train_inputs, idx_bytes({3, 1, 2}, inputs));
  write_bytes(job_.data.train_labels, idx_bytes({3}, std::string("\x02\x00\x02", 3)));
  EXPECT_NE(open()->fingerprint(), before);
}

TEST_F(IdxDatasetTest, ItsSizeIsKnownWithoutReadingIt) {
  const std::unique_ptr<Dataset> whole = open();
  write_bytes(job_.data.train_inputs, idx_bytes({3, 1, 2}, ""));
  const DatasetSize size = size_of_dataset(job_, Split::kTrain).value();
  EXPECT_EQ(size.samples, whole->size());
  EXPECT_EQ(size.shape, whole->shape());
  EXPECT_EQ(size.bytes, 3 * (2 + 4u));
  write_bytes(job_.data.train_inputs, idx_bytes({3, 0, 2}, ""));
  EXPECT_EQ(size_of_dataset(job_, Split::kTrain).error().cause, Cause::kData);

  job_.data.kind = "synthetic";
  job_.model.size = 5;
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const DatasetSize points = size_of_dataset(job_, split).value();
    EXPECT_EQ(points.samples, open_dataset(job_, split).value()->size());
    EXPECT_EQ(points.shape, SampleShape());
    EXPECT_EQ(points.target_floats, 5);
  }
}

TEST_F(IdxDatasetTest, RefusesFilesThatDoNotFitEachOther) {
  write_bytes(job_.data.train_labels, idx_bytes({2}, std::string("\x02\x00", 2)));
  EXPECT_EQ(open_error(), job_.data.train_labels + ": expected 3 labels, as many as " + job_.data.train_inputs +
                              " has inputs, found 2");
  write_bytes(job_.data.train_labels, idx_bytes({3}, std::string("\x02\x03\x04", 3)));
  EXPECT_EQ(open_error(),
            job_.data.train_labels + ": expected labels from 0 to 2 (data.classes = 3), found 3 for sample 1");
  std::swap(job_.data.train_labels, job_.data.train_inputs);
  EXPECT_THAT(open_error(), EndsWith("found one extent, 3: is this the file of labels?"));
  job_.data.train_inputs = job_.data.train_labels;
  EXPECT_THAT(open_error(), EndsWith("expected labels, one extent, found 3 x 1 x 2: is this the file of inputs?"));
  job_.data.train_inputs = "/nowhere/f";
  EXPECT_EQ(open_error(), "/nowhere/f: No such file or directory");
}

TEST_F(IdxDatasetTest, AskingForASampleThatIsNotThereIsABug) {
  const auto dataset = open();
  BatchBuffer batch;
  EXPECT_DEATH((void)dataset->gather(0, std::vector<std::uint64_t>{3}, batch), "sample 3 of 3");
}

Job synthetic_job() {
  Job job;
  job.model.name = "quadratic";
  job.model.size = 6;
  job.data.kind = "synthetic";
  job.data.samples = 10;
  job.train.seed = 5;
  return job;
}

TEST(SyntheticDataset, IsGoldenAndMadeFromTheSeedAlone) {
  const auto dataset = std::move(open_dataset(synthetic_job(), Split::kTrain)).value();
  EXPECT_EQ(dataset->size(), 10u);
  EXPECT_EQ(dataset->shape().floats(), 0);
  EXPECT_EQ(dataset->target_floats(), 6);
  BatchBuffer batch;
  EXPECT_TRUE(dataset->gather(0, std::vector<std::uint64_t>{9, 3}, batch).ok());
  EXPECT_TRUE(batch.inputs.empty() && batch.labels.empty());
  // Of sample 3, computed in Python.
  EXPECT_THAT(std::span(batch.targets).subspan(6),
              ElementsAre(0.36481798f, -0.16550481f, -1.31766605f, -0.21314085f, -0.46258688f, 0.82255447f));
}

TEST(SyntheticDataset, SeedsAndSplitsDiffer) {
  Job job = synthetic_job();
  const auto train = std::move(open_dataset(job, Split::kTrain)).value();
  const auto test = std::move(open_dataset(job, Split::kTest)).value();
  EXPECT_EQ(test->size(), 3u);
  job.train.seed = 6;
  const auto other = std::move(open_dataset(job, Split::kTrain)).value();
  const std::vector<std::uint64_t> ids{0, 1, 2};
  BatchBuffer of_train, of_test, of_other;
  EXPECT_TRUE(train->gather(0, ids, of_train).ok());
  EXPECT_TRUE(test->gather(0, ids, of_test).ok());
  EXPECT_TRUE(other->gather(0, ids, of_other).ok());
  EXPECT_NE(of_train.targets, of_test.targets);
  EXPECT_NE(of_train.targets, of_other.targets);
  EXPECT_NE(train->fingerprint(), test->fingerprint());
  EXPECT_NE(train->fingerprint(), other->fingerprint());
}

TEST(FashionMnist, IsWhatItsDistributionSays) {
  const std::string directory = "/usr/share/datasets/fashion-mnist/";
  if (!std::filesystem::exists(directory)) GTEST_SKIP() << "no " << directory << ": install dataset-fashion-mnist";
  Job job;
  job.data.train_inputs = directory + "train-images-idx3-ubyte.gz";
  job.data.train_labels = directory + "train-labels-idx1-ubyte.gz";
  job.data.test_inputs = directory + "t10k-images-idx3-ubyte.gz";
  job.data.test_labels = directory + "t10k-labels-idx1-ubyte.gz";
  auto train = open_dataset(job, Split::kTrain), test = open_dataset(job, Split::kTest);
  ASSERT_TRUE(train.ok()) << train.error().message;
  ASSERT_TRUE(test.ok()) << test.error().message;
  EXPECT_EQ((*train)->size(), 60'000u);
  EXPECT_EQ((*test)->size(), 10'000u);
  EXPECT_EQ((*train)->shape(), (SampleShape{28, 28, 1}));
  BatchBuffer batch;
  EXPECT_TRUE((*train)->gather(0, std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7}, batch).ok());
  EXPECT_THAT(batch.labels, ElementsAre(9, 0, 0, 3, 0, 2, 7, 2));
}

}  // namespace
}  // namespace rubato::data
