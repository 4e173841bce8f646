// The kind csv: rows of numbers with a class, or with numbers to be predicted (model.loss = "mse"). A sample is
// 1 x 1 x inputs. Training and test are two tables, or parts of one (data.path).
#pragma once

#include <memory>

#include "data/dataset.h"

namespace rubato::data {

// Bad lines and groups are only known to who reads it all: the true size may be less, or a group more or less.
// Errors: kData.
[[nodiscard]] Result<DatasetSize> size_of_table_dataset(const Job& job, Split split);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_table_dataset(const Job& job, Split split);
// All rows of another table with the same input columns, whatever else it has, scaled as was `fitted`, or by the job's
// training part where that is null. Without answers labels and targets are 0. Errors: kData.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_table_file(const Job& job, const std::string& path, Answers answers,
                                                               const Fitted* fitted);

}  // namespace rubato::data
