#include "exchange/chosen_data.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

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
