// What counts as a gap in time.
#include "data/time_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rubato::data {
namespace {

using testing::ElementsAre;

std::vector<std::optional<double>> times(const std::vector<double>& values) { return {values.begin(), values.end()}; }

TEST(TimeNumber, KnowsNumbersAndDatesOfIso8601) {
  EXPECT_EQ(time_number("12.5"), 12.5);
  EXPECT_EQ(time_number("1970-01-02"), 86400.0);
  EXPECT_EQ(time_number("1970-01-01 01:00"), 3600.0);
  EXPECT_EQ(time_number("1970-01-01T00:01:30Z"), 90.0);
  EXPECT_EQ(*time_number("2024-03-01") - *time_number("2024-02-28"), 2 * 86400.0);
  EXPECT_EQ(time_number("1969-12-31T23"), -3600.0);
  for (const char* text : {"", "31/01/2024", "2024-1-9", "2023-02-29", "2024-01-31 24:00", "2024-01-31 8:00",
                           "2024-01-31x", "monday", "2024-01-31 08:00:00+01:00"})
    EXPECT_EQ(time_number(text), std::nullopt) << text;
}

TEST(TimeSteps, AreLinesWithoutTimes) {
  EXPECT_THAT(steps_of({2, 3, 5}, {}).of_row, ElementsAre(2, 3, 5));
  EXPECT_THAT(steps_of({2, 3, 5}, {1.0, std::nullopt, 7.0}).of_row, ElementsAre(2, 3, 5));
}

TEST(TimeSteps, RiseByMoreWhereTimeHasAGap) {
  const TimeSteps steps =
      steps_of({2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, times({0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 130}));
  EXPECT_THAT(steps.of_row, ElementsAre(2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15));
  EXPECT_EQ(steps.gaps, 1u);
  EXPECT_EQ(steps.first_gap, 10u);
}

TEST(TimeSteps, ALineThatWasLeftOutIsNoGapInTime) {
  const TimeSteps steps = steps_of({2, 3, 5, 6}, times({0, 1, 3, 4}));
  EXPECT_THAT(steps.of_row, ElementsAre(2, 3, 5, 6));
  EXPECT_EQ(steps.gaps, 0u);
  // As long a time as of three lines, of which one stood in the file.
  EXPECT_THAT(steps_of({2, 3, 5, 6}, times({0, 1, 5, 6})).of_row, ElementsAre(2, 3, 7, 8));
}

TEST(TimeSteps, WhereTimesTellTheyAloneDecide) {
  // A line that was left out between two that are one step apart was no row of its own.
  EXPECT_THAT(steps_of({2, 3, 5, 6}, times({0, 1, 2, 3})).of_row, ElementsAre(2, 3, 4, 5));
  // Rows that come too soon are rows nevertheless.
  std::vector<std::uint64_t> places;
  std::vector<double> hours;
  for (std::uint64_t row = 0; row < 20; ++row) {
    places.push_back(row);
    hours.push_back(row < 10 ? static_cast<double>(row) : static_cast<double>(row) - 0.75);
  }
  EXPECT_EQ(steps_of(places, times(hours)).of_row, places);
}

TEST(TimeSteps, DistancesThatVarySayNothing) {
  const TimeSteps months = steps_of({2, 3, 4, 5, 6}, times({0, 31, 59, 90, 120}));
  EXPECT_THAT(months.of_row, ElementsAre(2, 3, 4, 5, 6));
  EXPECT_EQ(months.gaps, 0u);
}

}  // namespace
}  // namespace rubato::data
