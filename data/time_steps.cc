#include "data/time_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "data/text_lines.h"

namespace rubato::data {
namespace {

// So many digits that `text` begins with, which are taken off it.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
  const std::string_view digits = text.substr(0, count);
  if (digits.size() < count) return std::nullopt;
  int value = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    value = 10 * value + (digit - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<double> seconds_of_day(int year, int month, int day) {
  namespace chrono = std::chrono;
  const chrono::year_month_day date{chrono::year(year), chrono::month(static_cast<unsigned>(month)),
                                    chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return 86400.0 * static_cast<double>(chrono::sys_days(date).time_since_epoch().count());
}

constexpr double kParts[] = {3600.0, 60.0, 1.0};  // hours, minutes and seconds

// One of them, which `text` begins with.
std::optional<double> take_part(std::string_view& text, double unit) {
  const std::optional<int> value = take_digits(text, 2);
  if (!value || *value >= (unit == 3600.0 ? 24 : 60)) return std::nullopt;
  return unit * *value;
}

std::optional<double> iso_seconds(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day) return std::nullopt;
  std::optional<double> seconds = seconds_of_day(*year, *month, *day);
  if (seconds && !text.empty()) {
    if (!take(text, " T")) return std::nullopt;
    for (const double unit : kParts) {
      const std::optional<double> part = take_part(text, unit);
      if (!part) return std::nullopt;
      *seconds += *part;
      if (!take(text, ":")) break;
    }
    (void)take(text, "Z");
  }
  return text.empty() ? seconds : std::nullopt;
}

// A date of so many digits without anything between them: YYYYMM in months; YYYYMMDD, with or without HH, HHMM or
// HHMMSS, in seconds.
std::optional<double> compact_date(double number, std::size_t digits) {
  if (number != std::floor(number) || number < 1e5 || number >= 1e14) return std::nullopt;
  const std::string all = fmt::format("{:.0f}", number);
  std::string_view text = all;
  if (text.size() != digits) return std::nullopt;
  const auto year = take_digits(text, 4), month = take_digits(text, 2);
  if (!month || *month < 1 || *month > 12) return std::nullopt;
  if (text.empty()) return 12.0 * *year + *month;
  const auto day = take_digits(text, 2);
  if (!day) return std::nullopt;
  std::optional<double> seconds = seconds_of_day(*year, *month, *day);
  for (const double unit : kParts) {
    if (!seconds || text.empty()) break;
    const std::optional<double> part = take_part(text, unit);
    if (!part) return std::nullopt;
    *seconds += *part;
  }
  return seconds;
}

// Numbers that are all dates are at other distances than they seem: from the 31st of a month to the first it is a day.
// That all are by chance is rare, and what they then say of gaps is hardly another thing.
std::vector<double> without_compact_dates(const std::vector<std::optional<double>>& times) {
  std::vector<double> numbers, dates;
  const std::size_t digits = fmt::format("{:.0f}", *times.front()).size();
  for (const std::optional<double>& time : times) {
    numbers.push_back(*time);
    if (const std::optional<double> date = compact_date(*time, digits)) dates.push_back(*date);
  }
  return dates.size() == numbers.size() ? dates : numbers;
}

// The distance that nine tenths of all have.
std::optional<double> usual_step(const std::vector<double>& distances) {
  if (distances.empty()) return std::nullopt;
  std::vector<double> sorted = distances;
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2));
  const double step = sorted[sorted.size() / 2];
  const auto alike =
      std::ranges::count_if(distances, [&](double distance) { return std::abs(distance - step) <= 1e-3 * step; });
  if (step <= 0.0 || 10 * static_cast<std::size_t>(alike) < 9 * distances.size()) return std::nullopt;
  return step;
}

}  // namespace

std::optional<double> time_number(std::string_view text) {
  if (const std::optional<double> number = field_number(text)) return number;
  return iso_seconds(text);
}

TimeSteps steps_of(const std::vector<std::uint64_t>& places, const std::vector<std::optional<double>>& times) {
  TimeSteps steps{.of_row = places, .gaps = 0, .first_gap = 0};
  if (times.empty() || !std::ranges::all_of(times, [](const auto& time) { return time.has_value(); })) return steps;
  const std::vector<double> at = without_compact_dates(times);
  // A distance over a line that was left out says nothing of the usual one.
  std::vector<double> distances;
  for (std::size_t row = 1; row < at.size(); ++row)
    if (places[row] - places[row - 1] == 1) distances.push_back(at[row] - at[row - 1]);
  const std::optional<double> step = usual_step(distances);
  if (!step) return steps;
  constexpr double kFarthest = 1e9;
  for (std::size_t row = 1; row < at.size(); ++row) {
    const double distance = std::min((at[row] - at[row - 1]) / *step, kFarthest);
    // A row that comes too soon is one nevertheless.
    const auto apart = static_cast<std::uint64_t>(std::max(std::llround(distance), 1LL));
    if (apart > 1 && places[row] - places[row - 1] == 1 && steps.gaps++ == 0) steps.first_gap = row;
    steps.of_row[row] = steps.of_row[row - 1] + apart;
  }
  return steps;
}

}  // namespace rubato::data
