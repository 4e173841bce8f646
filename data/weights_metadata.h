// What a weights file says beside the weights: how they lie, and what samples the model was made for.
//
// Thread-safety: pure functions.
#pragma once

#include <optional>

#include "data/dataset.h"
#include "data/safetensors.h"

namespace rubato::data {

inline constexpr const char *kLayoutKey = "layout", *kChannelsLast = "channels last";  // of ours; not of PyTorch's
inline constexpr const char *kInputKey = "input", *kTargetsKey = "targets";            // "28 28 1"; numbers to predict
inline constexpr const char* kLengthsKey = "lengths";  // there where samples are sequences of different lengths

// Shape, number of targets, and whether there are lengths.
void describe_samples(const DatasetSize& size, Metadata& metadata);
// Nothing, if it is not said, or is none.
[[nodiscard]] std::optional<DatasetSize> described_samples(const Metadata& metadata);

}  // namespace rubato::data
