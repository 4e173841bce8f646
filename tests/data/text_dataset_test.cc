#include "data/text_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/base/temp_directory.h"
#include "tests/data/gathered.h"
#include "tests/data/idx_files.h"

namespace rubato::data {
namespace {

using test::gather_all;
using test::write_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

class TextDatasetTest : public testing::Test {
 protected:
  TextDatasetTest() {
    job_.model.name = "gpt";
    job_.data.kind = "text";
    job_.data.path = directory_.file("text");
    job_.data.classes = 256;
    job_.data.window = 3;
    job_.data.stride = 2;
    job_.data.test_fraction = 0.0;
  }
  [[nodiscard]] std::string open_error(Split split) const {
    auto dataset = open_dataset(job_, split);
    if (dataset.ok()) return "";
    EXPECT_EQ(dataset.error().cause, Cause::kData);
    return dataset.error().message;
  }

  rubato::test::TempDirectory directory_;
  Job job_;
};

TEST_F(TextDatasetTest, EachByteOfAWindowHasTheOneBehindItAsItsLabel) {
  write_bytes(job_.data.path, "abcdef\xff");
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_THAT(batch.inputs, ElementsAre('a', 'b', 'c', 'c', 'd', 'e'));
  EXPECT_THAT(batch.labels, ElementsAre('b', 'c', 'd', 'd', 'e', 'f'));
  EXPECT_TRUE(batch.targets.empty());
  job_.data.stride = 3;
  EXPECT_THAT(gather_all(job_, Split::kTrain).labels, ElementsAre('b', 'c', 'd', 'e', 'f', 255));
}

TEST_F(TextDatasetTest, PartsFollowEachOtherAndWindowsOfTheLastTwoLieEndToEnd) {
  write_bytes(job_.data.path, "0123456789abcdefghij");
  job_.data.validation_fraction = 0.35;
  job_.data.test_fraction = 0.35;
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre('0', '1', '2', '2', '3', '4'));
  EXPECT_THAT(gather_all(job_, Split::kValidation).inputs, ElementsAre('6', '7', '8', '9', 'a', 'b'));
  EXPECT_THAT(gather_all(job_, Split::kTest).labels, ElementsAre('e', 'f', 'g', 'h', 'i', 'j'));
  const DatasetSize size = size_of_dataset(job_, Split::kTest).value();
  EXPECT_EQ(size.samples, 2u);
  EXPECT_EQ(size.shape, (SampleShape{3, 1, 1}));
}

TEST_F(TextDatasetTest, AFolderIsReadInTheOrderOfItsPathsWithoutLinksAndHiddenFiles) {
  namespace fs = std::filesystem;
  const fs::path folder = job_.data.path;
  fs::create_directories(folder / "b");
  fs::create_directories(folder / ".git");
  write_bytes((folder / "a").string(), "12");
  write_bytes((folder / "b" / "c").string(), "34");
  write_bytes((folder / "d").string(), "5");
  write_bytes((folder / ".hidden").string(), "no");
  write_bytes((folder / ".git" / "x").string(), "no");
  fs::create_symlink(folder / "a", folder / "aa");
  job_.data.window = 6;
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_THAT(batch.inputs, ElementsAre('1', '2', 0, '3', '4', 0));
  EXPECT_THAT(batch.labels, ElementsAre('2', 0, '3', '4', 0, '5'));
}

TEST_F(TextDatasetTest, SaysWhatIsMissing) {
  EXPECT_THAT(open_error(Split::kTrain), HasSubstr(job_.data.path));
  write_bytes(job_.data.path, "abc");
  EXPECT_THAT(open_error(Split::kTrain), HasSubstr("of its 3 bytes the training part has 3"));
  EXPECT_THAT(open_error(Split::kTest), HasSubstr("data.test_fraction = 0 leaves no test part"));
  std::filesystem::remove(job_.data.path);
  std::filesystem::create_directory(job_.data.path);
  EXPECT_THAT(open_error(Split::kTrain), HasSubstr("expected files of text, found none"));
}

TEST_F(TextDatasetTest, TheFingerprintIsOfBytesAndWindows) {
  write_bytes(job_.data.path, "abcdefgh");
  const std::string before = open_dataset(job_, Split::kTrain).value()->fingerprint();
  EXPECT_EQ(open_dataset(job_, Split::kTrain).value()->fingerprint(), before);
  job_.data.window = 4;
  EXPECT_NE(open_dataset(job_, Split::kTrain).value()->fingerprint(), before);
  job_.data.window = 3;
  write_bytes(job_.data.path, "abcdefgi");
  EXPECT_NE(open_dataset(job_, Split::kTrain).value()->fingerprint(), before);
}

}  // namespace
}  // namespace rubato::data
