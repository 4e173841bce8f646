// The networks by name:
//
//   logistic   fc
//   mlp        fc1 .. fcN, each hidden one followed by `activation`
//   lenet5     conv1 (6, 5x5, padding 2), pool, conv2 (16, 5x5), pool, fc1 (120), fc2 (84), fc3. With
//              activation "relu" the pools take maxima, as most do today; with "tanh" or "sigmoid" they
//              take means (LeCun et al. 1998, without its trained pools and sparse connections).
//   cnn        for each of `channels` a 3x3 convolution that keeps the size, ReLU and a 2x2 max pool;
//              then fc1 (`dense`), ReLU, fc2
//   resnet18, resnet34, resnet50   model/resnet.h
//   lstm, gru  model/recurrent.h, then fc
//   gpt        model/gpt.h
//   dbn        model/dbn.h
//   layers     model/layer_list.h
//
// Dropout, where asked for, stands before the last layer, in gpt behind each part, and in a list where that says so.
// The last layer has one unit a class, or a target; a single one for binary cross-entropy on two classes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "model/layers.h"
#include "model/model.h"

namespace rubato::model {

[[nodiscard]] Result<kernels::LossDesc::Kind> parse_loss(const std::string& name);

[[nodiscard]] std::int64_t outputs_for(kernels::LossDesc::Kind loss, std::int64_t classes);

// Errors: kUsage; also where it cannot read samples of different lengths, and the input has such.
[[nodiscard]] Result<std::vector<Layer>> build_layers(const ModelConfig& config, const InputShape& input,
                                                      std::int64_t outputs, std::uint64_t seed);

}  // namespace rubato::model
