// The weights of a model out of a safetensors file: PyTorch's, or a run's own (final.safetensors).
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/safetensors.h"
#include "exchange/described_model.h"

namespace rubato::exchange {

// All parameters one after the other, in the model's order and layouts. Which layout the file has its metadata says.
//
// `skip` are patterns (base/glob.h): what the model has under such a name is drawn from `seed`, as if there were
// no file, and what the file has under one is not looked at. Errors: kData, naming `name` (the file), the tensor, what
// was expected and found, and the nearest name there is: one that is missing, one too many, one of another shape, one
// that is not of floats, or has a value that is not finite; kUsage: a pattern of nothing.
[[nodiscard]] Result<std::vector<float>> read_weights(const data::TensorFile& file, const std::string& name,
                                                      const DescribedModel& model,
                                                      const std::vector<std::string>& skip = {},
                                                      std::uint64_t seed = 0);

}  // namespace rubato::exchange
