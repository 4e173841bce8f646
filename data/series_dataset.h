// The kind series: windows that slide over the lines of one table, in its order. A sample sees data.window lines of the
// input columns (height = window, width 1, channels = columns) and is to predict the target columns of the next
// data.horizon lines (line after line, the targets of a line side by side).
//
// The first lines are for training, then come validation and test. No window touches two parts, nor a line that was
// left out, nor a gap in time; scaling is fitted on the training part.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "data/seasonal_naive.h"

namespace rubato::data {

// Bad lines and gaps are only known to who reads it all: there may be fewer windows. Errors: kData.
[[nodiscard]] Result<DatasetSize> size_of_series_dataset(const DataConfig& config, Split split);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_series_dataset(const DataConfig& config, Split split);
// Windows of another table with the same input columns, scaled as was `fitted`, or by the job's training part where
// that is null. Without answers the last window sees the last lines, targets are 0, and there is no seasonal-naive
// forecast. Errors: kData.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_series_file(const DataConfig& config, const std::string& path,
                                                                Answers answers, const Fitted* fitted);

// What forecasts are measured against, as long as the data is there; null where it is no such data set.
[[nodiscard]] const SeasonalNaive* seasonal_naive_of(const Dataset& data);

}  // namespace rubato::data
