// A network that the job file writes down, layer by layer (base/layer_text.h): `model.name = "layers"`.
//
// Shapes are checked as they come, and what the last layer gives against what the loss needs. An error names the
// layer, what was expected and what was found.
//
// An activation, or an `add`, directly behind a layer that can do it along with its own work is done there, where
// nobody else reads that layer. Parameters have the names of the layers; first values are those of PyTorch's modules.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>

#include "base/job.h"
#include "base/result.h"
#include "model/layers.h"
#include "model/model.h"

namespace rubato::model {

// `outputs`: numbers for each label. Errors: kUsage.
[[nodiscard]] Status add_layer_list(NetworkBuilder& net, const ModelConfig& config, const InputShape& input,
                                    std::int64_t outputs, std::uint64_t seed);

}  // namespace rubato::model
