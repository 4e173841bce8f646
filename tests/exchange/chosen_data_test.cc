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
  Job job;
  job.data.kind = "folder";
  job.data.path = directory.file("photos");
  job.data.classes = 1;
  job.data.image_size = 16;
  job.data.flip = 0.5;
  const auto open = [&](const char* part) {
    DataChoice choice;
    choice.part = part;
    return open_data(job, choice).value().data;
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

}  // namespace
}  // namespace rubato::exchange
