// Folders of images: which there are, of which classes, and what becomes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <numeric>
#include <set>
#include <span>
#include <thread>

#include "data/dataset.h"
#include "tests/base/temp_directory.h"
#include "tests/data/gathered.h"
#include "tests/data/idx_files.h"
#include "tests/data/picture_files.h"

namespace rubato::data {
namespace {

using test::gather_all;
using test::jpeg_bytes;
using test::pattern;
using test::png_bytes;
using test::write_bytes;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class FolderDatasetTest : public testing::Test {
 protected:
  FolderDatasetTest() {
    job_.data.kind = "folder";
    job_.data.path = directory_.path().string();
    job_.data.classes = 2;
    job_.data.image_size = 16;
    job_.data.cache_mb = 0;
  }
  void write(const std::string& name, const std::string& bytes) const {
    const std::filesystem::path path = directory_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    write_bytes(path.string(), bytes);
  }
  // Images of several sizes and forms, six of cats and four of dogs, and two of each to be evaluated on.
  void write_some() const {
    for (int i = 0; i < 6; ++i) write("train/cat/" + std::to_string(i) + ".png", png_bytes(pattern(20 + i, 30 - i, 3)));
    for (int i = 0; i < 4; ++i)
      write("train/dog/" + std::to_string(i) + ".jpg", jpeg_bytes(pattern(130 + 10 * i, 140, 3)));
    for (int i = 0; i < 2; ++i) {
      write("val/cat/" + std::to_string(i) + ".png", png_bytes(pattern(33 + i, 41, 1, 16)));
      write("val/dog/" + std::to_string(i) + ".jpeg", jpeg_bytes(pattern(25, 26 + i, 1)));
    }
  }
  [[nodiscard]] std::string open_error(Split split = Split::kTrain) const {
    auto dataset = open_dataset(job_, split);
    if (dataset.ok()) return "";
    EXPECT_EQ(dataset.error().cause, Cause::kData);
    return dataset.error().message;
  }
  [[nodiscard]] std::unique_ptr<Dataset> open(Split split = Split::kTrain) const {
    auto dataset = open_dataset(job_, split);
    EXPECT_TRUE(dataset.ok()) << dataset.error().message;
    return std::move(*dataset);
  }
  static std::vector<float> inputs(const Dataset& dataset, std::uint64_t epoch, std::vector<std::uint64_t> ids) {
    BatchBuffer batch;
    EXPECT_TRUE(dataset.gather(epoch, ids, batch).ok());
    return batch.inputs;
  }

  rubato::test::TempDirectory directory_;
  Job job_;
};

TEST_F(FolderDatasetTest, FoldersAreClassesInTheOrderOfTheirNames) {
  write_some();
  write("train/cat/notes.txt", "no image");
  write("train/cat/.hidden.png", "no image");
  write("train/cat/.git/a.png", "no image");
  write("train/cat/below/x.PNG", png_bytes(pattern(20, 20, 3)));
  write("train/README", "no class");
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_THAT(batch.labels, ElementsAre(0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1));
  EXPECT_EQ(batch.inputs.size(), std::size_t{11} * 16 * 16 * 3);
  EXPECT_THAT(open()->class_names(), ElementsAre("cat", "dog"));
  EXPECT_THAT(gather_all(job_, Split::kValidation).labels, ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(open_error(Split::kTest), HasSubstr("none called test: set evaluation.part = \"validation\""));
}

TEST_F(FolderDatasetTest, NobodyIsSentToAPartThatIsNotThere) {
  write("train/cat/1.png", png_bytes(pattern(20, 20, 3)));
  write("train/dog/1.png", png_bytes(pattern(20, 20, 3)));
  EXPECT_THAT(open_error(Split::kTest), AllOf(HasSubstr("none called test: make one"), Not(HasSubstr("on val"))));
}

TEST_F(FolderDatasetTest, APngOfTheRightSizeIsTakenPixelByPixelAndNormalized) {
  job_.data.classes = 2;
  job_.data.mean = {0.25, 0.5, 0.75};
  job_.data.stddev = {0.5, 1.0, 2.0};
  job_.data.crop = "center";
  job_.data.resize = 16;
  job_.data.flip = 0.0;
  const Picture bytes = pattern(16, 16, 3), words = pattern(16, 16, 3, 16);
  write("train/a/0.png", png_bytes(bytes));
  write("train/b/0.png", png_bytes(words));
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  constexpr std::size_t kNumbers = std::size_t{16} * 16 * 3;
  for (std::size_t i = 0; i < kNumbers; ++i) {
    const double mean = job_.data.mean[i % 3], stddev = job_.data.stddev[i % 3];
    ASSERT_NEAR(batch.inputs[i], (std::get<0>(bytes.pixels)[i] / 255.0 - mean) / stddev, 1e-6);
    ASSERT_NEAR(batch.inputs[kNumbers + i], (std::get<1>(words.pixels)[i] / 65535.0 - mean) / stddev, 1e-6);
  }
  job_.data.mean = job_.data.stddev = {0.5, 0.5};
  EXPECT_THAT(open_error(), HasSubstr("expected 2 channels, as data.mean has numbers, found 3"));
}

TEST_F(FolderDatasetTest, ImageNetsNumbersHaveAName) {
  write_some();
  const BatchBuffer plain = gather_all(job_, Split::kTrain);
  job_.data.normalization = "imagenet";
  const BatchBuffer named = gather_all(job_, Split::kTrain);
  job_.data.normalization = "given";
  job_.data.mean = {0.485, 0.456, 0.406};
  job_.data.stddev = {0.229, 0.224, 0.225};
  EXPECT_EQ(gather_all(job_, Split::kTrain).inputs, named.inputs);
  EXPECT_NE(plain.inputs, named.inputs);
}

// The rule of the house: a leaf has the same bits wherever, whenever and by however many it is read.
TEST_F(FolderDatasetTest, NeitherReadersNorCacheNorCompanyChangeASample) {
  write_some();
  std::vector<std::uint64_t> ids(10);
  std::iota(ids.begin(), ids.end(), std::uint64_t{0});
  const auto first = open();
  std::vector<std::vector<float>> right;
  for (std::uint64_t epoch = 0; epoch < 3; ++epoch) right.push_back(inputs(*first, epoch, ids));
  EXPECT_NE(right[0], right[1]);
  for (const std::int64_t readers : {1, 2, 5})
    for (const std::int64_t cache_mb : {0, 1}) {
      job_.data.readers = readers;
      job_.data.cache_mb = cache_mb;
      const auto dataset = open();
      EXPECT_EQ(dataset->fingerprint(), first->fingerprint());
      for (const std::uint64_t epoch : {2u, 0u, 1u, 0u}) EXPECT_EQ(inputs(*dataset, epoch, ids), right[epoch]);
      const std::size_t width = right[0].size() / 10;
      const std::vector<float> two = inputs(*dataset, 1, {7, 2});
      EXPECT_TRUE(std::equal(two.begin(), two.begin() + static_cast<std::ptrdiff_t>(width),
                             right[1].begin() + static_cast<std::ptrdiff_t>(7 * width)));
    }
}

TEST_F(FolderDatasetTest, SeveralThreadsMayGatherAtOnce) {
  write_some();
  job_.data.readers = 3;
  job_.data.cache_mb = 1;
  const auto dataset = open();
  const std::vector<std::uint64_t> ids = {0, 9, 4, 4, 7, 1};
  const std::vector<float> right = inputs(*open(), 5, ids);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) EXPECT_EQ(inputs(*dataset, 5, ids), right);
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FolderDatasetTest, WhatIsEvaluatedOnIsTheSameInEveryEpoch) {
  write_some();
  const auto dataset = open(Split::kValidation);
  EXPECT_EQ(inputs(*dataset, 0, {0, 1, 2, 3}), inputs(*dataset, 1, {0, 1, 2, 3}));
}

TEST_F(FolderDatasetTest, TheSeedChoosesWhatIsCutOutAndNothingElse) {
  write_some();
  const auto one = open();
  job_.train.seed = 2;
  const auto two = open();
  EXPECT_EQ(one->fingerprint(), two->fingerprint());
  EXPECT_NE(inputs(*one, 0, {0}), inputs(*two, 0, {0}));
}

TEST_F(FolderDatasetTest, OneFolderIsSplit) {
  for (int i = 0; i < 30; ++i)
    write(std::string(i % 2 == 0 ? "a/" : "b/") + std::to_string(i) + ".png", png_bytes(pattern(20, 20 + i, 3)));
  job_.data.test_fraction = 0.2;
  job_.data.validation_fraction = 0.1;
  std::vector<float> seen;
  std::size_t samples = 0;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest})
    samples += gather_all(job_, split).labels.size();
  EXPECT_EQ(samples, 30u);
  EXPECT_EQ(gather_all(job_, Split::kTest).labels.size(), 6u);
  const std::string before = open()->fingerprint();
  job_.train.seed = 9;
  EXPECT_EQ(open()->fingerprint(), before);
  job_.data.split_seed = 1;
  EXPECT_NE(open()->fingerprint(), before);
}

TEST_F(FolderDatasetTest, TheFingerprintIsOfTheFiles) {
  write_some();
  const std::string before = open()->fingerprint();
  EXPECT_EQ(open()->fingerprint(), before);
  write("train/cat/0.png", png_bytes(pattern(20, 31, 3)));
  EXPECT_NE(open()->fingerprint(), before);
}

TEST_F(FolderDatasetTest, ClassesThatDoNotFitAreNamed) {
  write_some();
  job_.data.classes = 3;
  EXPECT_THAT(open_error(), HasSubstr("train: has 2 folders of classes (cat, dog), and data.classes is 3"));
  job_.data.classes = 2;
  write("val/dig/0.png", png_bytes(pattern(4, 4, 3)));
  EXPECT_THAT(open_error(Split::kValidation),
              HasSubstr("val: no class of the training part is called dig; did you mean \"dog\"?"));
  std::filesystem::remove_all(directory_.path() / "train/dog");
  std::filesystem::create_directories(directory_.path() / "train/dog");
  EXPECT_THAT(open_error(), HasSubstr("train/dog: has no image"));
  job_.data.path = directory_.file("none");
  EXPECT_THAT(open_error(), AllOf(HasSubstr("none: "), HasSubstr("No such file")));
}

TEST_F(FolderDatasetTest, BadImagesAreNamedAndMayBeLeftOut) {
  write_some();
  write("train/cat/3.png", png_bytes(pattern(20, 20, 3)).substr(0, 100));
  write("train/dog/x.gif", "GIF89a");
  EXPECT_THAT(open_error(), HasSubstr("train/cat/3.png: cut off: the PNG's end is missing"));
  job_.data.skip_max = 1;
  EXPECT_THAT(open_error(), AllOf(HasSubstr("train/dog/x.gif: expected a JPEG or a PNG"),
                                  HasSubstr("(bad image number 2, and data.skip_max = 1; the first was ")));
  job_.data.skip_max = 2;
  EXPECT_THAT(gather_all(job_, Split::kTrain).labels, ElementsAre(0, 0, 0, 0, 0, 1, 1, 1, 1));
  EXPECT_EQ(size_of_dataset(job_, Split::kTrain)->samples, 9u);
}

// What is known before any is decoded; of a JPEG in scans libjpeg keeps all of it, at its full size.
TEST_F(FolderDatasetTest, SaysWhatReadingTakesOfMemory) {
  write_some();
  job_.data.readers = 1;
  const DatasetSize one = size_of_dataset(job_, Split::kTrain).value();
  EXPECT_EQ(one.gathered_bytes, 0u) << "data.cache_mb = 0";
  EXPECT_GE(one.bytes, 10 * (sizeof(std::string) + sizeof(void*)));
  EXPECT_GE(one.gathering_bytes, 2 * (160u * 140 * 3 + 160 * 3))
      << "two may read: the largest, decoded, with a row of floats";
  job_.data.readers = 3;
  job_.data.cache_mb = 1;
  const DatasetSize three = size_of_dataset(job_, Split::kTrain).value();
  EXPECT_EQ(three.gathering_bytes, 2 * one.gathering_bytes);
  EXPECT_EQ(three.bytes, one.bytes);
  EXPECT_GT(three.gathered_bytes, 6 * 20u * 25 * 3);
  EXPECT_LE(three.gathered_bytes, std::uint64_t{1} << 20);
  write("train/dog/3.jpg", jpeg_bytes(pattern(160, 140, 3), {.progressive = true}));
  const DatasetSize in_scans = size_of_dataset(job_, Split::kTrain).value();
  EXPECT_GT(in_scans.gathering_bytes, three.gathering_bytes + 4 * (160u * 140 * 3 * sizeof(std::int16_t) - 8000));
}

TEST_F(FolderDatasetTest, WhatIsFoundOnlyByDecodingEndsTheBatchThatAsksForIt) {
  write_some();
  std::string bytes = png_bytes(pattern(40, 40, 3));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
  write("train/cat/2.png", bytes);
  const auto dataset = open();
  BatchBuffer batch;
  EXPECT_TRUE(dataset->gather(0, std::vector<std::uint64_t>{0, 1, 3}, batch).ok());
  const Status status = dataset->gather(0, std::vector<std::uint64_t>{0, 2, 3}, batch);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().cause, Cause::kData);
  EXPECT_THAT(status.error().message, HasSubstr("train/cat/2.png: a damaged PNG ("));
}

TEST_F(FolderDatasetTest, GrayImagesStayGrayWhereThatIsAskedFor) {
  job_.data.channels = 1;
  write("train/a/0.png", png_bytes(pattern(20, 20, 1)));
  write("train/b/0.jpg", jpeg_bytes(pattern(20, 20, 1)));
  EXPECT_EQ(gather_all(job_, Split::kTrain).inputs.size(), std::size_t{2} * 16 * 16);
  write("train/b/1.jpg", jpeg_bytes(pattern(20, 20, 3)));
  EXPECT_THAT(open_error(), HasSubstr("train/b/1.jpg: expected a gray image (data.channels = 1), found 3 channels"));
}

TEST_F(FolderDatasetTest, TheSizeInMemoryIsOfWhatIsKept) {
  write_some();
  EXPECT_EQ(size_of_dataset(job_, Split::kTrain)->gathered_bytes, 0u);
  job_.data.cache_mb = 1;
  // The dogs' short sides are of 130 pixels and more, and 32 are kept: they are decoded at a quarter.
  std::uint64_t bytes = 10 * sizeof(Picture);
  for (std::uint64_t i = 0; i < 6; ++i) bytes += (20 + i) * (30 - i) * 3;
  for (std::uint64_t i = 0; i < 4; ++i) bytes += (130 + 10 * i + 3) / 4 * 35 * 3;
  EXPECT_EQ(size_of_dataset(job_, Split::kTrain)->gathered_bytes, bytes);
}

TEST_F(FolderDatasetTest, DamageThatOnlyDecodingShowsIsLeftOutUpToALimit) {
  write_some();
  for (const int i : {1, 3}) {
    std::string bytes = png_bytes(pattern(20 + i, 30 - i, 3));
    bytes[60] ^= 0x55;
    write("train/cat/" + std::to_string(i) + ".png", bytes);
  }
  job_.data.skip_max = 1;
  const auto dataset = open();
  for (const std::uint64_t epoch : {0u, 1u}) {
    BatchBuffer batch;
    ASSERT_TRUE(dataset->gather(epoch, std::vector<std::uint64_t>{0, 1, 2}, batch).ok());
    EXPECT_THAT(batch.labels, ElementsAre(0, kNoLabel, 0));
    // What statistics of the batch are over is the one before it once more.
    const std::size_t width = batch.inputs.size() / 3;
    EXPECT_TRUE(
        std::ranges::equal(std::span(batch.inputs).first(width), std::span(batch.inputs).subspan(width, width)));
    EXPECT_FALSE(std::ranges::equal(std::span(batch.inputs).first(width), std::span(batch.inputs).last(width)));
    ASSERT_TRUE(dataset->gather(epoch, std::vector<std::uint64_t>{1, 2}, batch).ok());
    EXPECT_THAT(batch.labels, ElementsAre(kNoLabel, 0));
    EXPECT_TRUE(std::ranges::equal(std::span(batch.inputs).first(width), std::span(batch.inputs).last(width)));
    ASSERT_TRUE(dataset->gather(epoch, std::vector<std::uint64_t>{1}, batch).ok());
    EXPECT_THAT(batch.inputs, testing::Each(0.0f)) << "there is no other";
  }
  BatchBuffer batch;
  const Status second = dataset->gather(0, std::vector<std::uint64_t>{2, 3}, batch);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().cause, Cause::kData);
  EXPECT_THAT(second.error().message,
              AllOf(HasSubstr("train/cat/3.png: a damaged PNG"), HasSubstr("data.skip_max = 1")));
}

// Patients 0 to 11 have an image of each class, and the even ones two of cats.
class GroupedPicturesTest : public FolderDatasetTest {
 protected:
  void write_patients(const std::string& folder) const {
    for (int i = 0; i < 12; ++i) {
      const std::string patient = "p" + std::to_string(i);
      write(folder + "cat/" + patient + "_left.png", png_bytes(pattern(20 + i, 30, 3)));
      write(folder + "dog/" + patient + "_a_b.png", png_bytes(pattern(20, 31 + i, 3)));
      if (i % 2 == 0) write(folder + "cat/below/" + patient + "_right.png", png_bytes(pattern(31 + i, 31, 3)));
    }
  }
  [[nodiscard]] std::set<std::string> patients_of(Split split) const {
    std::set<std::string> patients;
    const auto part = open(split);
    for (std::uint64_t id = 0; id < part->size(); ++id) patients.insert(part->group_of(id).value());
    return patients;
  }
  // No patient is on two sides, and all are on one.
  void expect_parted(std::initializer_list<Split> parts) const {
    std::size_t count = 0;
    std::set<std::string> all;
    for (const Split part : parts) {
      const std::set<std::string> patients = patients_of(part);
      EXPECT_FALSE(patients.empty()) << name_of(part);
      count += patients.size();
      all.insert(patients.begin(), patients.end());
    }
    EXPECT_EQ(all.size(), 12u);
    EXPECT_EQ(count, all.size());
  }
};

TEST_F(GroupedPicturesTest, StayOnOneSideOfASplit) {
  write_patients("");
  job_.data.group = "(p[0-9]+)_";
  job_.data.test_fraction = 0.2;
  job_.data.validation_fraction = 0.2;
  expect_parted({Split::kTrain, Split::kValidation, Split::kTest});
}

TEST_F(GroupedPicturesTest, StayOnOneSideOfWhatIsHeldOut) {
  write_patients("train/");
  write_patients("test/");
  job_.data.group = "(p[0-9]+)_";
  job_.evaluation.holdout = 0.3;
  expect_parted({Split::kTrain, Split::kValidation});
  const TrainingParts parts = open_training_parts(job_).value();
  EXPECT_EQ(parts.train->size(), open(Split::kTrain)->size());
  EXPECT_EQ(parts.held_out->size(), open(Split::kValidation)->size());
}

TEST_F(GroupedPicturesTest, TooFewAreCounted) {
  write_patients("");
  job_.data.test_fraction = 0.001;
  EXPECT_EQ(open_error(), job_.data.path +
                              ": 0.1% of 30 images for the test is none, and one of them is 3.333%: raise "
                              "data.test_fraction");
  job_.data.group = "(p)";
  job_.data.test_fraction = 0.1;
  EXPECT_EQ(open_error(), job_.data.path +
                              ": 1 group of 30 images cannot be split into 10% for the test and the rest "
                              "for training: each part needs one at least");
}

TEST_F(GroupedPicturesTest, AnImageOfNoGroupIsNamed) {
  write_patients("");
  write("dog/stray.png", png_bytes(pattern(20, 20, 3)));
  job_.data.group = "(p[0-9]+)_";
  job_.data.test_fraction = 0.2;
  EXPECT_THAT(open_error(), AllOf(HasSubstr("dog/stray.png: data.group"), HasSubstr("finds no group in \"stray.png\""),
                                  HasSubstr("rename the image, or take it away")));
  job_.data.test_fraction = 0.0;
  EXPECT_EQ(open_error(), "") << "all of it is trained on";
}

TEST_F(GroupedPicturesTest, WhatIsLeftOutNeedsNone) {
  write_patients("");
  write("dog/note.png", "not an image");
  job_.data.group = "(p[0-9]+)_";
  job_.data.test_fraction = 0.2;
  EXPECT_THAT(open_error(), HasSubstr("dog/note.png: expected a JPEG or a PNG"));
  job_.data.skip_max = 1;
  job_.data.validation_fraction = 0.2;
  expect_parted({Split::kTrain, Split::kValidation, Split::kTest});
}

TEST_F(GroupedPicturesTest, PartsThatStayAsTheyAreNeedNone) {
  write_patients("train/");
  write_patients("test/");
  write("train/dog/stray.png", png_bytes(pattern(20, 20, 3)));
  write("test/dog/stray.png", png_bytes(pattern(20, 21, 3)));
  job_.data.group = "(p[0-9]+)_";
  EXPECT_EQ(open(Split::kTrain)->size(), 31u);
  EXPECT_EQ(open(Split::kTest)->size(), 31u);
  job_.evaluation.holdout = 0.3;
  EXPECT_EQ(open(Split::kTest)->size(), 31u);
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    const auto part = open_dataset(job_, split);
    ASSERT_FALSE(part.ok());
    EXPECT_THAT(part.error().message, AllOf(HasSubstr("train/dog/stray.png: data.group"), HasSubstr("finds no group")));
  }
}

}  // namespace
}  // namespace rubato::data
