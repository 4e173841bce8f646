#include "data/other_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "data/fitted.h"
#include "data/series_dataset.h"
#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"
#include "tests/data/npy_files.h"
#include "tests/data/picture_files.h"

namespace rubato::data {
namespace {

using test::write_bytes;
using testing::ElementsAre;
using testing::FloatEq;
using testing::HasSubstr;

class InputsAloneTest : public testing::Test {
 protected:
  BatchBuffer all_of(const std::string& file) { return gathered(open_inputs_alone(job_, directory_.file(file))); }
  BatchBuffer gathered(Result<std::unique_ptr<Dataset>> opened) {
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
    if (!opened.ok()) return {};
    data_ = std::move(*opened);
    std::vector<std::uint64_t> ids(data_->size());
    std::iota(ids.begin(), ids.end(), 0u);
    BatchBuffer batch;
    EXPECT_TRUE(data_->gather(0, ids, batch).ok());
    return batch;
  }
  std::string error_of(const std::string& file) {
    const auto opened = open_inputs_alone(job_, directory_.file(file));
    return opened.ok() ? "(no error)" : opened.error().message;
  }
  void write(const std::string& name, const std::string& bytes) { write_bytes(directory_.file(name), bytes); }

  rubato::test::TempDirectory directory_;
  Job job_;
  std::unique_ptr<Dataset> data_;
};

TEST_F(InputsAloneTest, ImagesAreNormalizedAsTheJobSaysWhateverFileTheyAreIn) {
  job_.data.mean = {0.2};
  job_.data.stddev = {0.5};
  const std::string pixels("\x00\xff\x33\x66", 4);
  write("a.idx", test::idx_bytes({2, 1, 2}, pixels));
  write("a.idx.gz", test::gzip(test::idx_bytes({2, 1, 2}, pixels)));
  write("a.npy", test::npy_bytes("'|u1'", "(2, 1, 2)", pixels));
  for (const char* kind : {"idx", "npy", "npz", "cifar"}) {
    job_.data.kind = kind;
    for (const char* file : {"a.idx", "a.idx.gz", "a.npy"}) {
      const BatchBuffer batch = all_of(file);
      EXPECT_THAT(batch.inputs,
                  ElementsAre(FloatEq(-0.4f), FloatEq(1.6f), testing::FloatNear(0.0f, 1e-7f), FloatEq(0.4f)));
      EXPECT_THAT(batch.labels, ElementsAre(0, 0));
    }
  }
}

TEST_F(InputsAloneTest, TablesAreScaledByTheTrainingPartAndNeedNoLabels) {
  job_.data.kind = "csv";
  job_.data.train_inputs = directory_.file("train.csv");
  job_.data.target = {"kind"};
  job_.data.classes = 2;
  write("train.csv", "size,weight,kind\n1,10,dog\n3,10,cat\n");
  write("new.csv", "name,weight,size\nx,11,5\ny,10,2\n");
  const BatchBuffer batch = all_of("new.csv");
  EXPECT_THAT(batch.inputs, ElementsAre(3, 1, 0, 0));
  EXPECT_THAT(data_->class_names(), ElementsAre("cat", "dog"));
  write("new.csv", "name,size\nx,5\n");
  EXPECT_THAT(error_of("new.csv"), HasSubstr("weight"));
}

TEST_F(InputsAloneTest, NumbersThatArePredictedKnowTheirScale) {
  job_.data.kind = "csv";
  job_.model.loss = "mse";
  job_.data.train_inputs = directory_.file("train.csv");
  job_.data.target = {"price", "age"};
  write("train.csv", "size,price,age\n1,10,0\n3,30,2\n");
  write("new.csv", "size\n5\n");
  const BatchBuffer batch = all_of("new.csv");
  EXPECT_THAT(batch.targets, ElementsAre(0, 0));
  EXPECT_EQ(data_->target_scale(0).mean, 20.0);
  EXPECT_EQ(data_->target_scale(0).deviation, 10.0);
  EXPECT_EQ(data_->target_scale(1).mean, 1.0);
  job_.data.target_scaling = "none";
  (void)all_of("new.csv");
  EXPECT_EQ(data_->target_scale(0).mean, 0.0);
}

TEST_F(InputsAloneTest, OtherFilesAndKindsAreRefused) {
  write("text", "hello there");
  EXPECT_THAT(error_of("text"), HasSubstr(directory_.file("text")));
  EXPECT_THAT(error_of("nothing"), HasSubstr("No such file"));
  job_.data.kind = "synthetic";
  EXPECT_THAT(error_of("text"), HasSubstr("--part test"));
}

TEST_F(InputsAloneTest, WhatIsNeitherNpyNorIdxIsTold) {
  const std::string path = directory_.file("x"), before =
                                                     ": --input takes the samples of a job on npz as one npy or "
                                                     "idx file, found ";
  job_.data.kind = "npz";
  write("x", test::zip_bytes({{"test_images.npy", ""}, {"test_labels.npy", ""}}, false));
  EXPECT_EQ(error_of("x"), path + before +
                               "a numpy archive of test_images, test_labels: save the one array, as "
                               "numpy.save(\"inputs.npy\", numpy.load(FILE)[NAME]) does");
  write("x", test::zip_bytes({{"x/data.pkl", ""}}, false));
  EXPECT_EQ(error_of("x"), path + before +
                               "what torch.save writes: that is a pickle, which is never read: "
                               "numpy.save(\"inputs.npy\", ...) writes what is read");
  write("x", test::png_bytes(test::pattern(4, 4, 1)));
  EXPECT_THAT(error_of("x"), HasSubstr(before + "a PNG image: numpy.save("));
  write("x", "a,b\n1,2\n");
  EXPECT_EQ(error_of("x"), path + before + "a text that begins with \"a,b\"");
  write("x", test::idx_bytes({1}, "abcd", 0x0D));
  EXPECT_THAT(error_of("x"), HasSubstr("expected idx values of type 08")) << "an idx file it is";
}

// Of one file that the job splits by itself, and scales by its training part.
class OtherFileTest : public InputsAloneTest {
 protected:
  BatchBuffer answered(const std::string& file) { return gathered(open_answered_file(job_, directory_.file(file))); }
  void write_series() {
    job_.data.kind = "series";
    job_.model.loss = "mse";
    job_.data.path = directory_.file("own.csv");
    job_.data.target = {"cars"};
    job_.data.time = "hour";
    job_.data.window = 2;
    job_.data.horizon = 2;
    job_.data.test_fraction = 0.5;
    // The first four are for training: mean 2, deviation 1, and each is 2 away from the one before.
    write("own.csv", "hour,cars\n1,1\n2,3\n3,1\n4,3\n5,100\n6,100\n7,100\n8,100\n");
  }
};

TEST_F(OtherFileTest, AForecastBeginsBehindTheLastLine) {
  write_series();
  job_.data.stride = 2;
  write("new.csv", "weather,hour,cars\nx,9,2\nx,10,3\nx,11,4\nx,12,5\nx,13,6\n");
  const BatchBuffer batch = all_of("new.csv");
  EXPECT_THAT(batch.inputs, ElementsAre(1, 2, 3, 4)) << "the last window is of the last lines";
  EXPECT_THAT(batch.targets, ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(data_->sample_name(1), directory_.file("new.csv") + ":5-6");
  EXPECT_EQ(data_->target_scale(1).mean, 2.0);
  EXPECT_EQ(seasonal_naive_of(*data_), nullptr);
  write("new.csv", "hour,cars\n9,2\n");
  EXPECT_THAT(error_of("new.csv"), HasSubstr("new.csv has 1 lines, and no window of data.window = 2 lines on end"));
  write("new.csv", "hour,lorries\n9,2\n10,2\n");
  EXPECT_THAT(error_of("new.csv"), HasSubstr("there is no column \"cars\""));
}

TEST_F(OtherFileTest, ASeriesIsEvaluatedOnAllOfAnotherTable) {
  write_series();
  write("new.csv", "hour,cars\n9,2\n10,3\n11,4\n12,5\n13,8\n");
  const BatchBuffer batch = answered("new.csv");
  EXPECT_THAT(batch.inputs, ElementsAre(0, 1, 1, 2));
  EXPECT_THAT(batch.targets, ElementsAre(2, 3, 3, 6));
  const SeasonalNaive& naive = *seasonal_naive_of(*data_);
  EXPECT_EQ(naive.targets[0].scale, 2.0) << "of the training part";
  EXPECT_EQ(naive.targets[0].error, (1 + 2 + 1 + 4) / 4.0) << "of the other table";
}

// Whatever lies where the training table once lay.
TEST_F(OtherFileTest, WhatWasFittedNeedsNoTrainingTable) {
  write_series();
  const Fitted of_series = *open_dataset(job_, Split::kTest).value()->fitted();
  std::filesystem::remove(job_.data.path);
  write("new.csv", "hour,cars\n9,2\n10,3\n11,4\n12,5\n13,8\n");
  const auto series = open_answered_file(job_, directory_.file("new.csv"), &of_series);
  ASSERT_TRUE(series.ok()) << series.error().message;
  EXPECT_EQ((*series)->target_scale(0).mean, 2.0);
  EXPECT_EQ(seasonal_naive_of(**series)->targets[0].scale, 2.0);

  job_ = Job();
  job_.data.kind = "csv";
  job_.data.train_inputs = directory_.file("train.csv");
  job_.data.target = {"kind"};
  job_.data.classes = 2;
  write("train.csv", "size,weight,kind\n1,10,dog\n3,10,cat\n");
  const Fitted of_table = *open_dataset(job_, Split::kTrain).value()->fitted();
  write("train.csv", "size,weight,kind\n10,1,zebra\n30,1,ant\n");
  write("new.csv", "kind,weight,size\ndog,11,5\n");
  const auto table = open_answered_file(job_, directory_.file("new.csv"), &of_table);
  ASSERT_TRUE(table.ok()) << table.error().message;
  BatchBuffer batch;
  ASSERT_TRUE((*table)->gather(0, std::vector<std::uint64_t>{0}, batch).ok());
  EXPECT_THAT(batch.inputs, ElementsAre(3, 1));
  EXPECT_THAT(batch.labels, ElementsAre(1));
  EXPECT_THAT((*table)->class_names(), ElementsAre("cat", "dog"));

  job_.data.target = {"size", "weight"};
  job_.model.loss = "mse";
  EXPECT_THAT(open_answered_file(job_, directory_.file("new.csv"), &of_table).error().message,
              HasSubstr("the weights predict 0 numbers, and data.target names 2"));
}

TEST_F(OtherFileTest, TextIsReadInWindowsToItsEnd) {
  job_.data.kind = "text";
  job_.data.window = 3;
  job_.data.stride = 1;
  write("new", "abcdefgh");
  const BatchBuffer alone = all_of("new");
  EXPECT_THAT(alone.inputs, ElementsAre('a', 'b', 'c', 'd', 'e', 'f', 'f', 'g', 'h'));
  EXPECT_EQ(data_->sample_name(2), directory_.file("new") + " bytes 5-7");
  EXPECT_THAT(answered("new").labels, ElementsAre('b', 'c', 'd', 'e', 'f', 'g'));
  write("new", "abc");
  EXPECT_THAT(all_of("new").inputs, ElementsAre('a', 'b', 'c'));
  EXPECT_THAT(open_answered_file(job_, directory_.file("new")).error().message,
              HasSubstr("new: expected 4 bytes at least, a window of data.window = 3 and the byte behind it, found 3"));
  write("new", "ab");
  EXPECT_THAT(error_of("new"), HasSubstr("new: expected 3 bytes at least, a window of data.window = 3, found 2"));
}

TEST_F(OtherFileTest, SparseRowsNeedNoKnownLabel) {
  job_.data.kind = "libsvm";
  job_.data.classes = 2;
  job_.data.train_inputs = directory_.file("train");
  write("train", "-1 1:1\n+1 1:3\n");
  write("new", "# new ones\n7 1:5\n");
  const BatchBuffer batch = all_of("new");
  EXPECT_THAT(batch.inputs, ElementsAre(3));
  EXPECT_THAT(batch.labels, ElementsAre(0));
  EXPECT_EQ(data_->sample_name(0), directory_.file("new") + ":2");
  write("new", "1 1:5\n-1 1:1\n");
  EXPECT_THAT(answered("new").labels, ElementsAre(1, 0));
}

TEST_F(OtherFileTest, ATableThatTheJobSplitsIsNotSplitAgain) {
  job_.data.kind = "csv";
  job_.data.path = directory_.file("own.csv");
  job_.data.target = {"kind"};
  job_.data.group = "owner";
  job_.data.classes = 2;
  write("own.csv", "size,kind,owner\n1,dog,a\n3,cat,a\n1,dog,b\n3,cat,b\n");
  write("new.csv", "kind,size\ncat,5\ndog,2\n");
  const BatchBuffer batch = answered("new.csv");
  EXPECT_THAT(batch.inputs, ElementsAre(3, 0));
  EXPECT_THAT(batch.labels, ElementsAre(0, 1));
  EXPECT_EQ(data_->sample_name(1), directory_.file("new.csv") + ":3");
}

// As in training but for the middle of each, and of no class.
class PicturesAloneTest : public InputsAloneTest {
 protected:
  PicturesAloneTest() {
    job_.data.kind = "folder";
    job_.data.path = directory_.file("photos");
    job_.data.classes = 2;
    job_.data.image_size = 16;
    write_picture("photos/train/cat/a.png", 20);
    write_picture("photos/train/dog/b.png", 22);
    write_picture("photos/val/dog/c.png", 24);
    write_picture("new/second.PNG", 24);
    write_picture("new/below/first.png", 30);
    write("new/notes.txt", "no image");
  }
  // Of all of a folder of folders.
  void expect_answered(const std::string& folder, const std::vector<std::int32_t>& labels, const Fitted* fitted) {
    const auto opened = open_answered_file(job_, directory_.file(folder), fitted);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    std::vector<std::int32_t> found;
    for (std::uint64_t id = 0; id < (*opened)->size(); ++id) (*opened)->append_labels(id, found);
    EXPECT_EQ(found, labels);
  }
  void write_picture(const std::string& name, std::int64_t height) {
    std::filesystem::create_directories(std::filesystem::path(directory_.file(name)).parent_path());
    write(name, test::png_bytes(test::pattern(height, 40, 3)));
  }
};

TEST_F(PicturesAloneTest, AFolderHasThoseBelowItByPath) {
  const BatchBuffer batch = all_of("new");
  EXPECT_EQ(batch.count, 2);
  EXPECT_THAT(batch.labels, ElementsAre(0, 0));
  EXPECT_EQ(data_->sample_name(0), "below/first.png");
  EXPECT_EQ(data_->sample_name(1), "second.PNG");
  EXPECT_THAT(data_->class_names(), ElementsAre("cat", "dog"));
}

TEST_F(PicturesAloneTest, OneIsWhatTheSameOneOfAPartIs) {
  const std::vector<float> alone = all_of("new/second.PNG").inputs;
  EXPECT_EQ(data_->size(), 1u);
  EXPECT_EQ(data_->sample_name(0), "second.PNG");
  const auto part = open_dataset(job_, Split::kValidation).value();
  BatchBuffer batch;
  ASSERT_TRUE(part->gather(0, std::vector<std::uint64_t>{0}, batch).ok());
  EXPECT_EQ(alone, batch.inputs);
}

TEST_F(PicturesAloneTest, ClassesAreNumbersWhereTheTrainingPartIsNotThere) {
  job_.data.path = directory_.file("gone");
  EXPECT_EQ(all_of("new").count, 2);
  EXPECT_TRUE(data_->class_names().empty());
}

TEST_F(PicturesAloneTest, WhatCannotBeReadIsNamed) {
  write("new/broken.png", "\x89PNG");
  EXPECT_THAT(error_of("new"), HasSubstr(directory_.file("new/broken.png")));
  job_.data.skip_max = 5;
  EXPECT_EQ(all_of("new").count, 2);
  EXPECT_THAT(error_of("new/none.png"), HasSubstr(directory_.file("new/none.png")));
  std::filesystem::create_directories(directory_.file("empty"));
  EXPECT_THAT(error_of("empty"), HasSubstr("has no image"));
}

TEST_F(PicturesAloneTest, AFolderOfClassesIsEvaluatedWhole) {
  for (const char* const name : {"more/dog/1.png", "more/dog/2.png", "more/dog/3.png", "more/cat/4.png"})
    write_picture(name, 20);
  expect_answered("more", {0, 1, 1, 1}, nullptr);
  const Fitted fitted = *open_dataset(job_, Split::kTrain).value()->fitted();
  job_.data.path = "/nowhere";
  expect_answered("more", {0, 1, 1, 1}, &fitted);
  write_picture("photos/test/dog/5.png", 20);
  expect_answered("photos", {1}, &fitted);
  write_picture("more/mouse/6.png", 20);
  EXPECT_THAT(open_answered_file(job_, directory_.file("more"), &fitted).error().message,
              HasSubstr("no class of the training part is called mouse"));
}

}  // namespace
}  // namespace rubato::data
