// What counts as a gap in time.
#include "data/time_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>

namespace rubato::data {
namespace {

using testing::Each;
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

// The steps between rows, one behind the other.
std::vector<std::uint64_t> steps_between(const std::vector<double>& values) {
  std::vector<std::uint64_t> places(values.size());
  std::iota(places.begin(), places.end(), 0);
  std::vector<std::uint64_t> steps = steps_of(places, times(values)).of_row;
  std::adjacent_difference(steps.begin(), steps.end(), steps.begin());
  steps.erase(steps.begin());
  return steps;
}

// `from`, and so many days behind it, as YYYYMMDD.
std::vector<double> days(std::chrono::sys_days from, int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) {
    const std::chrono::year_month_day day = from + std::chrono::days(i);
    values.push_back(10000.0 * static_cast<int>(day.year()) + 100.0 * static_cast<unsigned>(day.month()) +
                     static_cast<unsigned>(day.day()));
  }
  return values;
}

TEST(TimeSteps, NumbersThatAreDatesAreReadAsDates) {
  using std::chrono::sys_days, std::chrono::January, std::chrono::December, std::chrono::year;
  const std::vector<double> year_and_more = days(sys_days(year(2023) / December / 1), 420);
  EXPECT_THAT(steps_between(year_and_more), Each(1));
  std::vector<double> without = year_and_more;
  without.erase(without.begin() + 31);  // the first of January
  EXPECT_EQ(std::ranges::count(steps_between(without), 2u), 1);
  EXPECT_EQ(steps_between(without)[30], 2u);
  // With hours, with minutes, with seconds.
  for (const double unit : {1e2, 1e4, 1e6}) {
    std::vector<double> hours;
    for (const double day : days(sys_days(year(2024) / January / 30), 4))
      for (int hour = 0; hour < 24; ++hour) hours.push_back((day * 100.0 + hour) * unit / 1e2);
    EXPECT_THAT(steps_between(hours), Each(1)) << unit;
  }
}

TEST(TimeSteps, AMonthIsAStepOfNumbersThatAreMonths) {
  std::vector<double> months;
  for (int i = 10; i < 50; ++i) months.push_back(202301 + i % 12 + 100 * (i / 12));
  EXPECT_EQ(months[2], 202401.0);
  EXPECT_THAT(steps_between(months), Each(1));
  months.erase(months.begin() + 13, months.begin() + 15);
  EXPECT_EQ(steps_between(months)[12], 3u);
  // The first days of months vary as they do in ISO form.
  std::vector<double> firsts;
  for (const double month : months) firsts.push_back(month * 100.0 + 1.0);
  EXPECT_THAT(steps_between(firsts), Each(1));
}

TEST(TimeSteps, NumbersOfWhichOneIsNoDateAreNumbers) {
  std::vector<double> numbers;
  for (int i = 0; i < 40; ++i) numbers.push_back(20240101.0 + i);  // there is no 32nd of January
  EXPECT_THAT(steps_between(numbers), Each(1));
  numbers.erase(numbers.begin() + 20);
  EXPECT_EQ(steps_between(numbers)[19], 2u);
  std::vector<double> halves = days(std::chrono::sys_days(std::chrono::year(2024) / 1 / 20), 25);
  halves.back() += 0.5;
  EXPECT_EQ(std::ranges::max(steps_between(halves)), 70u);
}

}  // namespace
}  // namespace rubato::data
