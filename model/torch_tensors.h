// The parameters of a network as PyTorch's modules have them: names, shapes and order of numbers. The one place that
// knows, for export and import alike; an operation whose parameters differ there from here joins by a line.
//
// Names of parameters are PyTorch's already (model/parameter_specs.h). What differs is where channels stand: last here,
// first there. So
// - a convolution's weights are (out, height, width, in) here and (out, in, height, width) there;
// - a dense layer that reads a flattened image counts its columns channels last here, and as nn.Flatten does there.
// A tensor is an image if it comes out of an operation on images (convolution, pool, batch or group normalization), or
// is the network's input and wider than 1. Of a sequence (height = positions, width 1), which PyTorch has as (batch,
// positions, features), nothing differs.
//
// The visible biases of a deep belief network are in no module: its classifier does not read them.
//
// Thread-safety: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/parameter.h"
#include "model/layers.h"

namespace rubato::model {

struct TorchTensor {
  ParameterSpec spec;               // as the model has it
  std::string name;                 // in a state_dict; empty: no module there has it
  std::vector<std::int64_t> shape;  // there
  // It is (rows, pixels, channels) here and (rows, channels, pixels) there; one pixel: the same in both.
  std::int64_t pixels = 1, channels = 1;
};

// In the order of the model's parameters.
[[nodiscard]] std::vector<TorchTensor> torch_tensors(const std::vector<Layer>& layers);

// What a state_dict has beside them: the int64 scalars `num_batches_tracked` of batch normalizations, which nothing
// reads where the module has a `momentum`, as it usually has.
[[nodiscard]] std::vector<std::string> torch_counters(const std::vector<Layer>& layers);

// Between the two orders; as many numbers on either side as the parameter has.
void to_torch(const TorchTensor& tensor, std::span<const float> here, std::span<float> there);
void from_torch(const TorchTensor& tensor, std::span<const float> there, std::span<float> here);

}  // namespace rubato::model
