// data.ignored_labels in every kind of data that has labels.
#include "data/labelled_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/base/temp_directory.h"
#include "tests/data/gathered.h"
#include "tests/data/idx_files.h"
#include "tests/data/npy_files.h"
#include "tests/data/picture_files.h"

namespace rubato::data {
namespace {

using test::gather_all;
using test::idx_bytes;
using test::npy_bytes;
using test::value_bytes;
using test::write_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

class IgnoredLabels : public testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_.file(name); }
  void use(const std::string& kind, std::int64_t classes, std::vector<std::int64_t> ignored) {
    job_.data.kind = kind;
    job_.data.classes = classes;
    job_.data.ignored_labels = std::move(ignored);
    job_.data.train_inputs = path("inputs");
    job_.data.train_labels = path("labels");
  }
  // Of all samples as they are read, and of those that are trained on.
  [[nodiscard]] std::vector<std::int32_t> labels() const {
    const BatchBuffer whole = gather_all(job_, Split::kTrain);
    const auto dataset = open_dataset(job_, Split::kTrain).value();
    std::vector<std::int32_t> alone;
    for (std::uint64_t id = 0; id < dataset->size(); ++id) dataset->append_labels(id, alone);
    EXPECT_EQ(alone, whole.labels) << "as gather gives them";
    return whole.labels;
  }
  [[nodiscard]] std::vector<std::int32_t> trained_on() const {
    const auto dataset = labelled_samples(open_dataset(job_, Split::kTrain).value(), "training").value();
    std::vector<std::uint64_t> ids(dataset->size());
    for (std::uint64_t id = 0; id < ids.size(); ++id) ids[id] = id;
    BatchBuffer batch;
    EXPECT_TRUE(dataset->gather(0, ids, batch).ok());
    inputs_ = batch.inputs;
    sample_ids_ = batch.sample_ids;
    return batch.labels;
  }
  [[nodiscard]] std::string error() const {
    const auto opened = open_dataset(job_, Split::kTrain);
    return opened.ok() ? "" : opened.error().message;
  }

  rubato::test::TempDirectory directory_;
  Job job_;
  mutable std::vector<float> inputs_;
  mutable std::vector<std::uint64_t> sample_ids_;
};

TEST_F(IgnoredLabels, OfIdxFiles) {
  use("idx", 3, {255, 1});
  write_bytes(path("inputs"), idx_bytes({5, 1, 1}, std::string("\x00\x33\x66\x99\xCC", 5)));
  write_bytes(path("labels"), idx_bytes({5}, std::string("\x02\xFF\x00\x01\x02", 5)));
  job_.data.mean = {0.0}, job_.data.stddev = {1.0};
  EXPECT_THAT(labels(), ElementsAre(2, kNoLabel, 0, kNoLabel, 2));
  EXPECT_THAT(trained_on(), ElementsAre(2, 0, 2));
  EXPECT_THAT(inputs_, ElementsAre(0.0f, testing::FloatEq(0.4f), testing::FloatEq(0.8f)));
  EXPECT_THAT(sample_ids_, ElementsAre(0, 2, 4));
  job_.data.ignored_labels = {1};
  EXPECT_THAT(error(), HasSubstr("expected labels from 0 to 2 (data.classes = 3), found 255 for sample 1"));
}

TEST_F(IgnoredLabels, OfNpyFilesAsTheyStandThere) {
  use("npy", 2, {-100, 11});
  job_.data.first_label = 10;
  write_bytes(path("inputs"), npy_bytes("'|u1'", "(4, 1, 1)", std::string("\x00\x33\x66\x99", 4)));
  write_bytes(path("labels"), npy_bytes("'<i8'", "(4,)", value_bytes<std::int64_t>({10, 11, -100, 10})));
  EXPECT_THAT(labels(), ElementsAre(0, kNoLabel, kNoLabel, 0));
  EXPECT_THAT(trained_on(), ElementsAre(0, 0));
}

TEST_F(IgnoredLabels, OfCifar) {
  use("cifar", 10, {3, 77});
  job_.data.path = directory_.path().string();
  const auto record = [](char label) { return std::string(1, label) + std::string(3072, '\x10'); };
  write_bytes(path("data_batch_1.bin"), record(9) + record(3) + record(77) + record(0));
  EXPECT_THAT(labels(), ElementsAre(9, kNoLabel, kNoLabel, 0));
  EXPECT_THAT(trained_on(), ElementsAre(9, 0));
}

TEST_F(IgnoredLabels, OfAFolderByTheNumberOfTheClass) {
  use("folder", 3, {1});
  job_.data.path = directory_.path().string();
  job_.data.image_size = 4;
  for (const char* name : {"cat", "dog", "emu"}) {
    std::filesystem::create_directories(directory_.path() / "train" / name);
    write_bytes(path(std::string("train/") + name + "/0.png"), test::png_bytes(test::pattern(8, 8, 3)));
  }
  EXPECT_THAT(labels(), ElementsAre(0, kNoLabel, 2));
  EXPECT_THAT(trained_on(), ElementsAre(0, 2));
}

TEST_F(IgnoredLabels, OfTablesWithNumbersAndWithNames) {
  use("csv", 2, {-1});
  job_.data.target = {"kind"};
  write_bytes(path("inputs"), "size,kind\n1,0\n2,-1\n3,1\n4,-1.0\n");
  EXPECT_THAT(labels(), ElementsAre(0, kNoLabel, 1, kNoLabel));
  EXPECT_THAT(trained_on(), ElementsAre(0, 1));
  write_bytes(path("inputs"), "size,kind\n1,dog\n2,-1\n3,cat\n");
  EXPECT_THAT(labels(), ElementsAre(1, kNoLabel, 0));
  EXPECT_THAT(open_dataset(job_, Split::kTrain).value()->class_names(), ElementsAre("cat", "dog"));
}

TEST_F(IgnoredLabels, OfLibsvmAlsoWhereTheOthersAreSigns) {
  use("libsvm", 2, {0});
  job_.data.scaling = "none";
  write_bytes(path("inputs"), "+1 1:1\n0 1:2\n-1 1:3\n");
  EXPECT_THAT(labels(), ElementsAre(1, kNoLabel, 0));
  EXPECT_THAT(trained_on(), ElementsAre(1, 0));
  EXPECT_THAT(inputs_, ElementsAre(1.0f, 3.0f));
}

// A window is left out where all of its labels are ignored.
TEST_F(IgnoredLabels, OfTextByPosition) {
  use("text", 256, {' '});
  job_.model.name = "gpt";
  job_.data.path = path("text");
  job_.data.window = 2;
  job_.data.stride = 2;
  job_.data.test_fraction = 0.0;
  write_bytes(job_.data.path, "ab c   d");
  EXPECT_THAT(labels(), ElementsAre('b', kNoLabel, 'c', kNoLabel, kNoLabel, kNoLabel));
  EXPECT_THAT(trained_on(), ElementsAre('b', kNoLabel, 'c', kNoLabel));
}

TEST_F(IgnoredLabels, APartWithoutAnyOtherIsRefused) {
  use("idx", 3, {1});
  write_bytes(path("inputs"), idx_bytes({2, 1, 1}, std::string(2, '\x01')));
  write_bytes(path("labels"), idx_bytes({2}, std::string(2, '\x01')));
  const auto left = labelled_samples(open_dataset(job_, Split::kTrain).value(), "training");
  ASSERT_FALSE(left.ok());
  EXPECT_EQ(left.error().cause, Cause::kData);
  EXPECT_EQ(left.error().message,
            "data.ignored_labels leaves no label in the training part: of its 2 samples each has nothing but ignored "
            "ones; expected at least one sample with another");
}

TEST_F(IgnoredLabels, WhereThereAreNoneNothingChanges) {
  use("idx", 3, {9});
  write_bytes(path("inputs"), idx_bytes({2, 1, 1}, std::string(2, '\x01')));
  write_bytes(path("labels"), idx_bytes({2}, std::string("\x01\x02", 2)));
  std::shared_ptr<const Dataset> whole = open_dataset(job_, Split::kTrain).value();
  const Dataset* const before = whole.get();
  EXPECT_EQ(labelled_samples(std::move(whole), "training").value().get(), before);
}

}  // namespace
}  // namespace rubato::data
