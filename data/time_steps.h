// Whether a table's rows follow each other in time, or something is missing between two of them.
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace rubato::data {

// A number as it is; a date, or date and time, of ISO 8601 in seconds: 2024-01-31, 2024-01-31 08:00,
// 2024-01-31T08:00:30, with or without a Z. Nothing of other text.
[[nodiscard]] std::optional<double> time_number(std::string_view text);

struct TimeSteps {
  std::vector<std::uint64_t> of_row;  // rises by one where nothing is missing
  std::uint64_t gaps = 0;             // that time has, where no line was left out
  std::size_t first_gap = 0;          // the row behind the first
};

// `places`: of each row among all, with those that were left out. `times`: of each row, or none at all. Where nine
// tenths of the rows and more come at the same distance from the one before, to a thousandth, a larger one is a gap,
// and times alone say how many steps lie between two rows; else they say nothing, and places do. Whole numbers that are
// all of them dates (YYYYMM, YYYYMMDD, and HH, HHMM or HHMMSS behind it) are taken for these, months for whole ones.
[[nodiscard]] TimeSteps steps_of(const std::vector<std::uint64_t>& places,
                                 const std::vector<std::optional<double>>& times);

}  // namespace rubato::data
