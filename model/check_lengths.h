// Whether a network may read sequences of different lengths: positions behind a sample's end hold whatever is there,
// and none of it may reach a loss or a gradient. Layers that keep positions apart, or look back only, may read it;
// LSTM, GRU and global averages know where a sample ends (kernels/op_desc.h); what else brings positions together may
// not.
//
// Thread-safety: pure.
#pragma once

#include <span>

#include "base/result.h"
#include "kernels/op_desc.h"
#include "model/layers.h"

namespace rubato::model {

// Errors: kUsage, with the layer's name.
[[nodiscard]] Status check_lengths(std::span<const Layer> layers, kernels::LossDesc::Kind loss);

}  // namespace rubato::model
