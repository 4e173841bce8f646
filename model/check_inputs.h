// Whether a batch has the inputs that a model was made for.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "model/model.h"

namespace rubato::model {

// From 1 to `samples_max` samples of `inputs` numbers each. Errors: kData.
[[nodiscard]] Status check_inputs(const Batch& batch, std::int64_t samples_max, std::int64_t inputs);

}  // namespace rubato::model
