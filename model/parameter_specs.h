// The parameters of an operation: names as PyTorch's modules have them, and the values that they have there at first.
//
// Thread-safety: pure.
#pragma once

#include <string>
#include <vector>

#include "base/parameter.h"
#include "kernels/op_desc.h"

namespace rubato::model {

// In the order of kernels::parameter_shapes; `name` is the layer's.
// - Dense layers and convolutions: `weight`, and `bias` where there is one, uniform within 1 / sqrt(fan_in), which is
//   kaiming_uniform(a = sqrt(5)) (He et al. 2015) as torch.nn.Linear and Conv2d call it.
// - Dense layers with a visible bias: `weight` normal with deviation 0.01, `bias` and `visible_bias` of zeros (Hinton,
//   "A practical guide to training restricted Boltzmann machines", 2010, section 8).
// - Batch, layer and group normalization: `weight` of ones, `bias` of zeros; of the first also `running_mean` of zeros
//   and `running_var` of ones, running means that move by 0.1 (PyTorch's `momentum`).
// - Embedding: `weight`, and `position_weight` where it has one, normal with deviation 1, as torch.nn.Embedding.
// - LSTM, GRU: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, uniform within 1 / sqrt(units), and of the
//   second direction `weight_ih_l0_reverse` and so on. PyTorch keeps several layers in one module: a layer named
//   "rnn.l1" has "rnn.weight_ih_l1".
[[nodiscard]] std::vector<ParameterSpec> parameter_specs(const std::string& name, const kernels::OpDesc& op);

}  // namespace rubato::model
