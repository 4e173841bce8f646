#include "exchange/export.h"

#include <cstdint>
#include <span>
#include <vector>

#include "data/safetensors.h"
#include "data/weights_metadata.h"

namespace rubato::exchange {

Status export_weights(const Subject& subject, const std::string& to) {
  std::vector<std::vector<float>> values;
  std::vector<data::TensorView> tensors;
  const std::vector<std::span<const float>> parts = subject.model.parts(std::span(subject.weights));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const model::TorchTensor& tensor = subject.model.tensors[i];
    if (tensor.name.empty()) continue;
    model::to_torch(tensor, parts[i], values.emplace_back(parts[i].size()));
    tensors.push_back({tensor.name, tensor.shape, std::span<const float>(values.back())});
  }
  const std::int64_t none_tracked = 0;
  for (const std::string& counter : subject.model.counters)
    tensors.push_back({counter, {}, std::span(&none_tracked, 1)});
  data::Metadata metadata{{"format", "pt"},  // what the libraries of transformers ask for
                          {kJobKey, write_job(subject.job)}};
  data::describe_samples(subject.data, metadata);
  if (subject.fitted) metadata[data::kFittedKey] = data::text_of(*subject.fitted);
  return data::write_safetensors(to, tensors, metadata);
}

}  // namespace rubato::exchange
