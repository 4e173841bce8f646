// CIFAR-10 and CIFAR-100 in their binary form (https://www.cs.toronto.edu/~kriz/cifar.html): records of a label, or of
// a coarse and a fine one, and 32 x 32 red, then green, then blue bytes. A folder has data_batch_1.bin,
// data_batch_2.bin,
// ... and test_batch.bin (10 classes), or train.bin and test.bin (100 fine classes, or 20 coarse ones).
#pragma once

#include <memory>

#include "data/dataset.h"

namespace rubato::data {

// Errors: kData.
[[nodiscard]] Result<DatasetSize> size_of_cifar_dataset(const DataConfig& config, Split split);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_cifar_dataset(const DataConfig& config, Split split);

}  // namespace rubato::data
