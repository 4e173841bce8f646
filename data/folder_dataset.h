// Images that are decoded when they are asked for.
#pragma once

#include <memory>

#include "data/dataset.h"

namespace rubato::data {

// The fingerprint is over names, lengths and beginnings of the files: all of them are opened for it, and looked at
// (examine_picture), by data.readers threads.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_folder_dataset(const Job& job, Split split);
[[nodiscard]] Result<DatasetSize> size_of_folder_dataset(const Job& job, Split split);

}  // namespace rubato::data
