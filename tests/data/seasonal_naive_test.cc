#include "data/seasonal_naive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/series_dataset.h"
#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"

namespace rubato::data {
namespace {

using testing::HasSubstr;

class SeasonalNaiveTest : public testing::Test {
 protected:
  SeasonalNaiveTest() {
    job_.model.loss = "mse";
    job_.data.kind = "series";
    job_.data.path = directory_.file("series.csv");
    job_.data.target = {"y"};
    job_.data.window = 2;
    job_.data.horizon = 1;
    job_.data.test_fraction = 0.4;
  }
  void write(const std::vector<std::string>& lines, const std::string& header = "y") const {
    std::string text = header + "\n";
    for (const std::string& line : lines) text += line + "\n";
    test::write_bytes(job_.data.path, text);
  }
  SeasonalNaive naive(Split split = Split::kTest) {
    data_ = open_dataset(job_, split).value();
    return *seasonal_naive_of(*data_);
  }

  rubato::test::TempDirectory directory_;
  Job job_;
  std::unique_ptr<Dataset> data_;
};

TEST_F(SeasonalNaiveTest, WithoutASeasonItIsTheLastLine) {
  write({"1", "3", "2", "2", "5", "9", "4", "8", "8", "1"});  // six for training: 2 1 0 3 4
  const SeasonalNaive found = naive();                        // windows 4 8 | 8, 8 8 | 1
  EXPECT_EQ(found.season, 1);
  EXPECT_EQ(found.windows, 2u);
  ASSERT_EQ(found.targets.size(), 1u);
  EXPECT_EQ(found.targets[0].name, "y");
  EXPECT_DOUBLE_EQ(found.targets[0].scale, 10.0 / 5.0);
  EXPECT_DOUBLE_EQ(found.targets[0].error, 7.0 / 2.0);
  job_.data.season = 1;
  EXPECT_DOUBLE_EQ(naive().targets[0].error, 7.0 / 2.0);
}

// Both errors over the numbers in the file, whatever the network sees.
TEST_F(SeasonalNaiveTest, ASeasonBackAcrossTheBorderOfTheParts) {
  job_.data.season = 4;
  write({"1", "3", "2", "2", "5", "9", "4", "8", "8", "1"});  // training: 5 - 1 and 9 - 3
  const SeasonalNaive found = naive();                        // 8 was 5, and 1 was 9: lines of the training part
  EXPECT_DOUBLE_EQ(found.targets[0].scale, (4.0 + 6.0) / 2.0);
  EXPECT_DOUBLE_EQ(found.targets[0].error, (3.0 + 8.0) / 2.0);
  job_.data.scaling = job_.data.target_scaling = "none";
  EXPECT_DOUBLE_EQ(naive().targets[0].error, (3.0 + 8.0) / 2.0);
}

// Never as a line that is itself to be predicted.
TEST_F(SeasonalNaiveTest, BeyondASeasonItGoesBackAsManySeasonsAsItTakes) {
  job_.data.season = 2;
  job_.data.horizon = 3;
  job_.data.test_fraction = 0.5;
  write({"0", "0", "0", "0", "0", "0", "10", "20", "1", "2", "4", "7"});  // of 6 for the test: windows 10 20 and 20 1
  const SeasonalNaive found = naive();
  EXPECT_EQ(found.windows, 2u);
  // 1 2 4 for 10 20 10, then 2 4 7 for 20 1 20.
  EXPECT_DOUBLE_EQ(found.targets[0].error, (9.0 + 18.0 + 6.0 + 18.0 + 3.0 + 13.0) / 6.0);
  EXPECT_EQ(found.targets[0].scale, 0.0);  // of a series that never moves
}

TEST_F(SeasonalNaiveTest, EachTargetHasItsOwn) {
  job_.data.target = {"b", "a"};
  write({"0,0", "1,10", "2,20", "3,30", "4,40", "5,50", "6,60", "7,70", "8,80", "9,90"}, "a,b");
  const SeasonalNaive found = naive();
  ASSERT_EQ(found.targets.size(), 2u);
  EXPECT_EQ(found.targets[0].name, "b");
  EXPECT_DOUBLE_EQ(found.targets[0].scale, 10.0);
  EXPECT_DOUBLE_EQ(found.targets[1].error, 1.0);
}

// The line "x" is no number: no forecast steps over it.
TEST_F(SeasonalNaiveTest, OverALineThatWasLeftOutItSaysNothing) {
  job_.data.skip_max = 1;
  job_.data.test_fraction = 0.3;
  write({"0", "1", "3", "x", "100", "101", "103", "106", "110", "115", "121"});  // training: 0 1 3 . 100 101 103 106
  EXPECT_DOUBLE_EQ(naive().targets[0].scale, (1.0 + 2.0 + 1.0 + 2.0 + 3.0) / 5.0);
}

// The first windows of the training part have no line a season before.
TEST_F(SeasonalNaiveTest, WindowsWithoutALineASeasonBeforeDoNotCount) {
  job_.data.season = 4;
  write({"1", "3", "2", "2", "5", "9", "4", "8", "8", "1"});  // windows of the six: for 2, 2, 5, 9
  const SeasonalNaive found = naive(Split::kTrain);
  EXPECT_EQ(data_->size(), 4u);
  EXPECT_EQ(found.windows, 2u);
  EXPECT_DOUBLE_EQ(found.targets[0].error, (4.0 + 6.0) / 2.0);
  job_.data.season = 5;
  job_.data.horizon = 4;
  EXPECT_TRUE(std::isnan(naive(Split::kTrain).targets[0].error));
}

TEST_F(SeasonalNaiveTest, ASeasonLongerThanTheTrainingPartIsRefused) {
  job_.data.season = 6;
  write({"1", "3", "2", "2", "5", "9", "4", "8", "8", "1"});
  for (const Error& error : {open_dataset(job_, Split::kTest).error(), size_of_dataset(job_, Split::kTrain).error()}) {
    EXPECT_EQ(error.cause, Cause::kData);
    EXPECT_THAT(error.message, HasSubstr("data.season = 6: the training part has 6 lines"));
  }
}

}  // namespace
}  // namespace rubato::data
