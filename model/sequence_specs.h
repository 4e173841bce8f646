// The parameters of the operations for sequences: names as PyTorch's modules have them, values as they start there.
//
// Thread-safety: pure.
#pragma once

#include <string>
#include <vector>

#include "base/parameter.h"
#include "kernels/op_desc.h"

namespace rubato::model {

// Empty where the operation is none of these.
// - LayerNorm, GroupNorm: `weight` of ones, `bias` of zeros.
// - Embedding: `weight`, and `position_weight` where it has one, normal with deviation 1, as torch.nn.Embedding.
// - LSTM, GRU: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, uniform within 1 / sqrt(units). PyTorch
// keeps
//   several layers and directions in one module: a layer named "rnn.l1_reverse" has "rnn.weight_ih_l1_reverse".
[[nodiscard]] std::vector<ParameterSpec> sequence_specs(const std::string& name, const kernels::OpDesc& op);

}  // namespace rubato::model
