// Images and labels from two idx files. Inputs become (value / 255 - mean) / stddev.
//
// Extents of the input file: N x features (read as 1 x 1 x features), N x height x width (one channel),
// or N x height x width x channels.
#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"
#include "data/idx_file.h"

namespace rubato::data {

struct IdxNames {
  std::string inputs, labels;
};

// Errors: kData.
[[nodiscard]] Result<DatasetSize> size_of_idx_dataset(const std::string& inputs);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_idx_dataset(const IdxNames& paths, const DataConfig& config);
// The images of a file alone; labels are 0. Errors: kData.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_idx_inputs(const Job& job, const std::string& path);

}  // namespace rubato::data
