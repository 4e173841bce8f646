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
// All of another text, in windows that lie end to end. Without answers the last one is moved back, so that it ends
// where the text ends, and that window's last label is 0. Errors: kData.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_text_file(const DataConfig& config, const std::string& path,
                                                              Answers answers);

}  // namespace rubato::data
