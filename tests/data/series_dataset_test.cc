#include "data/series_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <span>

#include "tests/data/dataset_fixture.h"
#include "tests/data/gathered.h"
#include "tests/data/idx_files.h"

namespace rubato::data {
namespace {

using test::gather_all;
using test::write_bytes;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class SeriesDatasetTest : public test::DatasetFixture {
 protected:
  SeriesDatasetTest() {
    job_.model.loss = "mse";
    job_.data.kind = "series";
    job_.data.path = directory_.file("series.csv");
    job_.data.target = {"cars"};
    job_.data.window = 3;
    job_.data.horizon = 2;
    job_.data.test_fraction = 0.25;
    job_.data.scaling = job_.data.target_scaling = "none";
  }
  void write(const std::string& text) const { write_bytes(job_.data.path, text); }
  // Line i has cars = i and rain = 100 + i.
  static std::string lines(int count) {
    std::string text = "hour,cars,rain\n";
    for (int i = 0; i < count; ++i)
      text += std::to_string(10 * i) + "," + std::to_string(i) + "," + std::to_string(100 + i) + "\n";
    return text;
  }
};

TEST_F(SeriesDatasetTest, AWindowSeesLinesAndPredictsThoseBehindIt) {
  job_.data.time = "hour";
  write(lines(8));
  const BatchBuffer train = gather_all(job_, Split::kTrain);  // of lines 0 to 5
  EXPECT_THAT(train.inputs, ElementsAre(0, 100, 1, 101, 2, 102, 1, 101, 2, 102, 3, 103));
  EXPECT_THAT(train.targets, ElementsAre(3, 4, 4, 5));
  EXPECT_TRUE(train.labels.empty());
  EXPECT_EQ((*open_dataset(job_, Split::kTrain))->shape(), (SampleShape{3, 1, 2}));
  job_.data.columns = {"rain"};
  job_.data.target = {"rain", "cars"};
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre(100, 101, 102, 101, 102, 103));
  EXPECT_THAT(gather_all(job_, Split::kTrain).targets, ElementsAre(103, 3, 104, 4, 104, 4, 105, 5));
}

TEST_F(SeriesDatasetTest, AColumnOfDatesIsTheOneOfTime) {
  write("day,cars\n2024-01-30,1\n2024-01-31,2\n");
  EXPECT_EQ(
      open_error(),
      "series.csv:2: column \"day\": expected a finite number, found \"2024-01-30\"; a column of texts is no input: "
      "list the inputs in data.columns, and not this one, or write numbers for its texts, as pandas.get_dummies "
      "does; if it orders the lines, set data.time = \"day\"");
  job_.data.time = "day";
  job_.data.target = {"road"};
  write("day,road\n2024-01-30,A1\n");
  EXPECT_THAT(open_error(), EndsWith("found \"A1\"; data.target names columns of numbers"));
}

TEST_F(SeriesDatasetTest, NoWindowCrossesABorderInTime) {
  job_.data.columns = {"cars"};
  job_.data.validation_fraction = 0.2;
  job_.data.test_fraction = 0.3;
  write(lines(100));
  const std::pair<Split, std::pair<float, float>> parts[] = {
      {Split::kTrain, {0, 49}}, {Split::kValidation, {50, 69}}, {Split::kTest, {70, 99}}};
  for (const auto& [split, range] : parts) {
    const BatchBuffer batch = gather_all(job_, split);
    EXPECT_EQ(batch.inputs.front(), range.first);
    EXPECT_EQ(batch.targets.back(), range.second);
    for (const auto* values : {&batch.inputs, &batch.targets})
      for (const float value : *values) EXPECT_TRUE(value >= range.first && value <= range.second) << value;
    EXPECT_EQ(batch.count, range.second - range.first + 1 - 4);
  }
  job_.data.stride = 7;
  EXPECT_EQ(gather_all(job_, Split::kTrain).count, 7);
  EXPECT_EQ(gather_all(job_, Split::kTrain).inputs[3], 7);
}

TEST_F(SeriesDatasetTest, ScalingIsFittedOnTheTrainingPartAlone) {
  job_.data.scaling = job_.data.target_scaling = "standard";
  job_.data.columns = {"cars"};
  job_.data.window = job_.data.horizon = 1;
  job_.data.test_fraction = 0.5;
  write("cars\n1\n3\n1\n3\n5\n1000\n1000\n1000\n");  // the first four: mean 2, deviation 1
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre(-1, 1, -1));
  EXPECT_THAT(gather_all(job_, Split::kTrain).targets, ElementsAre(1, -1, 1));
  EXPECT_THAT(gather_all(job_, Split::kTest).inputs, ElementsAre(3, 998, 998));
}

TEST_F(SeriesDatasetTest, NoWindowStepsOverAGapInTime) {
  job_.data.time = "day";
  job_.data.test_fraction = 0.0;
  job_.data.horizon = 1;
  std::string text = "day,cars\n";
  for (int i = 0; i < 20; ++i) {
    const int day = i < 12 ? i + 1 : i + 9;  // from the 12th to the 21st
    text += "2024-01-" + std::string(day < 10 ? "0" : "") + std::to_string(day) + "," + std::to_string(i) + "\n";
  }
  write(text);
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_EQ(batch.count, 12 - 3 + 8 - 3);
  EXPECT_THAT(batch.targets, ElementsAre(3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 17, 18, 19));
}

TEST_F(SeriesDatasetTest, NoWindowStepsOverALineThatWasLeftOut) {
  job_.data.columns = {"cars"};
  job_.data.test_fraction = 0.1;
  job_.data.skip_max = 1;
  std::string text = lines(20);
  text.replace(text.find("\n80,8,") + 4, 1, "x");
  write(text);
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  std::set<float> first;
  for (std::int64_t i = 0; i < batch.count; ++i) {
    const float from = batch.inputs[static_cast<std::size_t>(i) * 3];
    first.insert(from);
    const auto sample = static_cast<std::size_t>(i);
    EXPECT_THAT(std::span(batch.inputs).subspan(sample * 3, 3), ElementsAre(from, from + 1, from + 2));
    EXPECT_THAT(std::span(batch.targets).subspan(sample * 2, 2), ElementsAre(from + 3, from + 4));
  }
  EXPECT_THAT(first, ElementsAre(0, 1, 2, 3, 9, 10, 11, 12, 13));
}

// As programs write them between days; a file that ends in several.
TEST_F(SeriesDatasetTest, ABlankLineIsNoRowAndCutsNoWindow) {
  job_.data.test_fraction = 0.0;
  job_.data.horizon = 1;
  job_.data.columns = {"cars"};
  for (const char* const time : {"", "hour"}) {
    job_.data.time = time;
    write("hour,cars\n1,0\n2,1\n3,2\n\n4,3\n  \n\n5,4\n6,5\n\n");
    const BatchBuffer batch = gather_all(job_, Split::kTrain);
    EXPECT_THAT(batch.inputs, ElementsAre(0, 1, 2, 1, 2, 3, 2, 3, 4)) << time;
    EXPECT_THAT(batch.targets, ElementsAre(3, 4, 5)) << time;
    const auto data = open_dataset(job_, Split::kTrain);
    ASSERT_TRUE(data.ok());
    EXPECT_THAT((*data)->sample_name(2), EndsWith("series.csv:4-9"));  // lines of the file
    EXPECT_EQ(seasonal_naive_of(**data)->windows, 3u);
  }
}

TEST_F(SeriesDatasetTest, WhatIsMissingIsTheLineBeforeOrTheMean) {
  job_.data.columns = {"rain"};
  job_.data.window = job_.data.horizon = 1;
  write("cars,rain\n1,10\n2,\n3,NA\n4,40\n5,1\n6,1\n7,1\n8,1\n");
  job_.data.test_fraction = 0.5;
  EXPECT_THAT(open_error(), StartsWith("series.csv:3: column \"rain\": expected a number, found \"\""));
  job_.data.missing = "previous";
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre(10, 10, 10));
  job_.data.missing = "mean";
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre(10, 25, 25));
  write("cars,rain\n1,\n2,3\n");
  job_.data.missing = "previous";
  EXPECT_EQ(open_error(), "series.csv:2: column \"rain\": the value is missing, and there is no line before");
}

TEST_F(SeriesDatasetTest, TimeRises) {
  job_.data.time = "hour";
  write("hour,cars\n2020-01-31,1\n2020-02-01,2\n2020-02-01,3\n");
  EXPECT_EQ(open_error(),
            "series.csv:4: column \"hour\": expected a time after \"2020-02-01\" of line 3, found \"2020-02-01\"");
  write("hour,cars\n9,1\n10,2\n-1,2\n");
  EXPECT_THAT(open_error(), EndsWith("expected a time after \"10\" of line 3, found \"-1\""));
  job_.data.time = "houre";
  EXPECT_THAT(open_error(), EndsWith("(data.time); did you mean \"hour\"?"));
}

TEST_F(SeriesDatasetTest, SaysWhatIsTooShort) {
  write(lines(8));
  EXPECT_EQ(open_error(Split::kTest),
            "series.csv: the test part has 2 lines, and no window of data.window + data.horizon = 5 lines on end is in "
            "it");
  EXPECT_EQ(size_of_dataset(job_, Split::kTest).error().message.substr(directory_.file("").size()),
            open_error(Split::kTest));
  write(lines(1));
  EXPECT_THAT(open_error(), HasSubstr("1 line cannot be split into "));
  write(lines(0));
  EXPECT_THAT(open_error(), HasSubstr("expected rows"));
}

TEST_F(SeriesDatasetTest, DamageIsSurvived) {
  const std::string text = lines(8);
  std::size_t noticed = 0;
  for (std::size_t length = 0; length < text.size(); ++length) {
    write(text.substr(0, length));
    noticed += open_error().empty() ? 0u : 1u;
  }
  EXPECT_GT(noticed, text.size() / 2);
  for (std::size_t at = 0; at < text.size(); ++at)
    for (const int change : {0x01, 0x10, 0x80, 0xFF}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ change);
      write(changed);
      noticed += open_error().empty() ? 0u : 1u;
    }
  EXPECT_GT(noticed, text.size() * 2);
}

}  // namespace
}  // namespace rubato::data
