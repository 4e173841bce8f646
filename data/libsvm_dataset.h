// The kind libsvm: sparse rows with a class, or with a number to be predicted (model.loss = "mse"). A sample is
// 1 x 1 x features, made dense when it is gathered. Training and test are two files, or parts of one (data.path).
#pragma once

#include <memory>

#include "data/dataset.h"

namespace rubato::data {

// Errors: kData.
[[nodiscard]] Result<DatasetSize> size_of_libsvm_dataset(const Job& job, Split split);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_libsvm_dataset(const Job& job, Split split);
// All rows of another file, scaled by the job's training part. Without answers its labels are not looked at, and labels
// and targets are 0. Errors: kData.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_libsvm_file(const Job& job, const std::string& path,
                                                                Answers answers);

}  // namespace rubato::data
