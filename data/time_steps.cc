#include "data/time_steps.h"

#include <algorithm>
#include <chrono>
#include <cmath>

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

std::optional<double> iso_seconds(std::string_view text) {
  namespace chrono = std::chrono;
  const auto year = take_digits(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day) return std::nullopt;
  const chrono::year_month_day date{chrono::year(*year), chrono::month(static_cast<unsigned>(*month)),
                                    chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  double seconds = 86400.0 * static_cast<double>(chrono::sys_days(date).time_since_epoch().count());
  if (!text.empty()) {
    if (!take(text, " T")) return std::nullopt;
    double unit = 3600.0;
    for (int part = 0; part < 3; ++part, unit /= 60.0) {
      const auto value = take_digits(text, 2);
      if (!value || *value >= (part == 0 ? 24 : 60)) return std::nullopt;
      seconds += unit * *value;
      if (!take(text, ":")) break;
    }
    (void)take(text, "Z");
  }
  return text.empty() ? std::optional(seconds) : std::nullopt;
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
  // A distance over a line that was left out says nothing of the usual one.
  std::vector<double> distances;
  for (std::size_t row = 1; row < times.size(); ++row)
    if (places[row] - places[row - 1] == 1) distances.push_back(*times[row] - *times[row - 1]);
  const std::optional<double> step = usual_step(distances);
  if (!step) return steps;
  constexpr double kFarthest = 1e9;
  for (std::size_t row = 1; row < times.size(); ++row) {
    const double distance = std::min((*times[row] - *times[row - 1]) / *step, kFarthest);
    // A row that comes too soon is one nevertheless.
    const auto apart = static_cast<std::uint64_t>(std::max(std::llround(distance), 1LL));
    if (apart > 1 && places[row] - places[row - 1] == 1 && steps.gaps++ == 0) steps.first_gap = row;
    steps.of_row[row] = steps.of_row[row - 1] + apart;
  }
  return steps;
}

}  // namespace rubato::data
