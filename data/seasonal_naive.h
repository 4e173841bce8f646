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

// Of each target, over the training part: its rows of the table, one after the other. 0 where it always comes true.
[[nodiscard]] std::vector<double> naive_errors(const Table& table, const DataConfig& config,
                                               const std::vector<std::uint64_t>& train);
// `windows`: the rows of the table that they begin at; `scales`: of the training part, as above. No forecast steps over
// a line that was left out.
[[nodiscard]] SeasonalNaive seasonal_naive(const Table& table, const DataConfig& config,
                                           const std::vector<double>& scales,
                                           const std::vector<std::uint64_t>& windows);

}  // namespace rubato::data
