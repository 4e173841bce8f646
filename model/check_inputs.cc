#include "model/check_inputs.h"

#include <fmt/format.h>

namespace rubato::model {

Status check_inputs(const Batch& batch, std::int64_t samples_max, std::int64_t inputs) {
  const auto samples = static_cast<std::int64_t>(batch.samples());
  if (samples < 1 || samples > samples_max)
    return Error{Cause::kData,
                 fmt::format("a batch of {} samples; this model was made for 1 to {}", samples, samples_max)};
  if (static_cast<std::int64_t>(batch.inputs.size()) != samples * inputs)
    return Error{Cause::kData, fmt::format("{} input numbers for {} samples of {}: {} expected", batch.inputs.size(),
                                           samples, inputs, samples * inputs)};
  return {};
}

}  // namespace rubato::model
