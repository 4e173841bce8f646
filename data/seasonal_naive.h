// What forecasts of a series are measured against: the seasonal-naive forecast, which says that a line will be as the
// one a season before (data.season lines; without a season, as the last line seen).
//
// Its mean absolute error over the training part is what the mean absolute scaled error (MASE) of any other forecast is
// scaled by: R. J. Hyndman, A. B. Koehler, "Another look at measures of forecast accuracy", International Journal of
// Forecasting 22, 2006, equation 3 with a season. Below 1 is better than it was there, one line or season ahead.
//
// Errors are of numbers as they are in the file. Thread-safety: plain values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/job.h"
#include "data/table.h"

namespace rubato::data {

struct SeasonalNaive {
  struct Target {
    std::string name;
    double scale = 0.0;  // mean absolute error over the training part; 0 where it always comes true
    double error = 0.0;  // mean absolute error over the windows of the part at hand
  };
  std::int64_t season = 1;
  std::uint64_t windows = 0;  // that the errors are of: those whose lines a season before are there
  std::vector<Target> targets;
};

// Rows of a table.
struct TableRows {
  const Table& table;
  const std::vector<std::uint64_t>& rows;
};
// `train`: the training part, one row after the other. `windows`: the rows that they begin at, of that table or
// another. No forecast steps over a line that was left out.
[[nodiscard]] SeasonalNaive seasonal_naive(const DataConfig& config, const TableRows& train, const TableRows& windows);

}  // namespace rubato::data
