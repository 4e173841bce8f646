#include "exchange/chosen_data.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <vector>

#include "data/npz_write.h"
#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"
#include "tests/data/picture_files.h"

namespace rubato::exchange {
namespace {

namespace test = data::test;

TEST(ChosenData, TrainingImagesAreLookedAtAsAnyOther) {
  rubato::test::TempDirectory directory;
  for (const char* const name : {"photos/train/cat/a.png", "photos/test/cat/a.png"}) {
    std::filesystem::create_directories(std::filesystem::path(directory.file(name)).parent_path());
    test::write_bytes(directory.file(name), test::png_bytes(test::pattern(40, 50, 3)));
  }
  Subject subject;
  Job& job = subject.job;
  job.data.kind = "folder";
  job.data.path = directory.file("photos");
  job.data.classes = 1;
  job.data.image_size = 16;
  job.data.flip = 0.5;
  const auto open = [&](const char* part) {
    DataChoice choice;
    choice.part = part;
    return open_data(subject, choice).value().data;
  };
  const auto inputs = [](const data::Dataset& part) {
    data::BatchBuffer batch;
    EXPECT_TRUE(part.gather(0, std::vector<std::uint64_t>{0}, batch).ok());
    return batch.inputs;
  };
  const std::vector<float> test = inputs(*open("test"));
  EXPECT_EQ(inputs(*open("train")), test);
  EXPECT_NE(inputs(*data::open_dataset(job, data::Split::kTrain).value()), test);
}

// Not how to train without it.
TEST(ChosenData, APartThatIsNotThereIsToldWithThoseThatAre) {
  rubato::test::TempDirectory directory;
  Subject subject;
  Job& job = subject.job;
  const auto error = [&](const std::string& part, const std::string& inputs = "") {
    DataChoice choice;
    choice.part = part;
    choice.inputs = inputs;
    const auto opened = open_data(subject, choice);
    return opened.ok() ? "(no error)" : opened.error().message;
  };
  job.data.kind = "csv";
  job.data.path = directory.file("t.csv");
  EXPECT_EQ(error("validation"),
            "the data of this job has no validation part: give --part train or --part test, or other data with --data, "
            "or with predict's --input");
  job.data.kind = "folder";
  job.data.path = directory.path().string();
  job.data.classes = 1;
  for (const char* const part : {"train", "val"}) std::filesystem::create_directories(directory.path() / part / "cat");
  EXPECT_EQ(error(""),
            "the data of this job has no test part: give --part train or --part validation, or other data with --data, "
            "or with predict's --input");
  EXPECT_EQ(error("", job.data.path),
            job.data.path +
                ": has a folder train and none called test: name the folder whose folders are the classes, "
                "as " +
                job.data.path + "/train");
  job.data.kind = "npz";
  job.data.path = directory.file("mnist.npz");
  const std::vector<float> pixels(4, 0.0f);
  const std::vector<std::int64_t> labels{0};
  const std::vector<data::NpyArray> arrays{{"train_images", {1, 2, 2}, std::span<const float>(pixels)},
                                           {"train_labels", {1}, std::span<const std::int64_t>(labels)}};
  ASSERT_TRUE(data::write_npz(job.data.path, arrays).ok());
  EXPECT_EQ(error(""),
            "the data of this job has no test part: give --part train, or other data with --data, or with "
            "predict's --input");
  EXPECT_EQ(error("", job.data.path), "--data " + job.data.path +
                                          ": expected an archive with test_images and test_labels, found a "
                                          "numpy archive of train_images, train_labels");
}

TEST(ChosenData, NamesThatAreNoUtf8AreTheSameAfterTheWayThroughTheWeights) {
  rubato::test::TempDirectory directory;
  Subject subject;
  subject.job.data.kind = "csv";
  subject.job.data.path = directory.file("t.csv");
  subject.job.data.target = {"kind"};
  subject.job.data.classes = 2;
  subject.job.data.test_fraction = 0.5;
  test::write_bytes(subject.job.data.path,
                    "gr\xF6\xDF"
                    "e,kind\n1,caf\xE9\n2,th\xE9\n3,caf\xE9\n4,th\xE9\n");
  const auto trained = data::open_dataset(subject.job, data::Split::kTrain).value();
  subject.fitted = std::make_shared<const data::Fitted>(
      data::parse_fitted(data::text_of(*trained->fitted()), "final.safetensors").value());
  const auto opened = open_data(subject, {});
  EXPECT_TRUE(opened.ok()) << opened.error().message;
}

// Its scaling would be another than the weights were trained with, without a word.
TEST(ChosenData, OtherDataWhereTheTrainingDataLayIsToldApart) {
  rubato::test::TempDirectory directory;
  Subject subject;
  subject.weights_file = "final.safetensors";
  subject.job.data.kind = "csv";
  subject.job.data.path = directory.file("t.csv");
  subject.job.data.target = {"kind"};
  subject.job.data.classes = 2;
  subject.job.data.test_fraction = 0.5;
  const auto write = [&](const std::string& rows) { test::write_bytes(subject.job.data.path, "size,kind\n" + rows); };
  write("1,dog\n2,cat\n3,dog\n4,cat\n");
  subject.fitted =
      std::make_shared<const data::Fitted>(*data::open_dataset(subject.job, data::Split::kTrain).value()->fitted());
  EXPECT_TRUE(open_data(subject, {}).ok());
  write("10,dog\n20,cat\n30,dog\n40,cat\n");
  const auto changed = open_data(subject, {});
  ASSERT_FALSE(changed.ok());
  EXPECT_NE(changed.error().message.find("no longer what final.safetensors was trained with"), std::string::npos)
      << changed.error().message;
  DataChoice other;
  other.inputs = subject.job.data.path;
  EXPECT_TRUE(open_data(subject, other).ok());
}

}  // namespace
}  // namespace rubato::exchange
