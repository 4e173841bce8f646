#include "exchange/export.h"

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <vector>

#include "data/safetensors.h"
#include "worker/evaluation.h"

namespace rubato::exchange {

Status export_weights(const Subject& subject, const std::string& to) {
  std::vector<std::vector<float>> values;
  std::vector<data::TensorView> tensors;
  std::span<const float> rest(subject.weights);
  for (const model::TorchTensor& tensor : subject.model.tensors) {
    const auto count = static_cast<std::size_t>(tensor.spec.elements());
    model::to_torch(tensor, rest.first(count), values.emplace_back(count));
    tensors.push_back({tensor.name, tensor.shape, std::span<const float>(values.back())});
    rest = rest.subspan(count);
  }
  const std::int64_t none_tracked = 0;
  for (const std::string& counter : subject.model.counters)
    tensors.push_back({counter, {}, std::span(&none_tracked, 1)});
  const data::SampleShape& input = subject.data.shape;
  return data::write_safetensors(
      to, tensors,
      {{"format", "pt"},  // what the libraries of transformers ask for
       {worker::kInputKey, fmt::format("{} {} {}", input.height, input.width, input.channels)},
       {worker::kTargetsKey, fmt::format("{}", subject.data.target_floats)},
       {kJobKey, write_job(subject.job)}});
}

}  // namespace rubato::exchange
