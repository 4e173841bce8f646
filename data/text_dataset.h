// The kind text: bytes as they are, tokens 0 to 255, in windows. A sample sees data.window bytes and has as many
// labels: for each of them the byte behind it.
//
// data.path is a file, or a folder whose files are read one after the other in the order of their paths, with a zero
// byte between two; links, and files and folders whose names begin with a dot, are left out, so that nothing is read
// twice. The first bytes are for training, then come validation and test; no window touches two parts. In the last two
// windows lie end to end.
#pragma once

#include <memory>

#include "data/dataset.h"

namespace rubato::data {

// Errors: kData.
[[nodiscard]] Result<DatasetSize> size_of_text_dataset(const DataConfig& config, Split split);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_text_dataset(const DataConfig& config, Split split);

}  // namespace rubato::data
