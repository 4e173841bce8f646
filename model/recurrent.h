// lstm and gru: `layers` of torch.nn.LSTM or torch.nn.GRU one behind the other, each of `width` units, over an input's
// rows (its height) from first to last; with `bidirectional` each of them also from last to first, with `width` units
// of its own, and the next one reads both. Of the last layer only the last state is read, of either direction its own.
// A row's columns and channels are its features: an image is read row by row, a window of a series line by line.
#pragma once

#include <string>

#include "base/job.h"
#include "model/layers.h"

namespace rubato::model {

[[nodiscard]] bool is_recurrent(const std::string& name);

void add_recurrent(NetworkBuilder& net, const ModelConfig& config);

}  // namespace rubato::model
