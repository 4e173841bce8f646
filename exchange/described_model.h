// The network of a job without its weights and without a device: what its parameters are called here and in PyTorch.
//
// Thread-safety: plain values.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"
#include "model/torch_tensors.h"

namespace rubato::exchange {

struct DescribedModel {
  std::vector<model::TorchTensor> tensors;  // in the order of the model's parameters
  std::vector<std::string> counters;        // what PyTorch has beside them

  [[nodiscard]] std::size_t elements() const;
  // Of the numbers of all parameters, one after the other, those of each.
  template <typename Value>
  [[nodiscard]] std::vector<std::span<Value>> parts(std::span<Value> all) const {
    std::vector<std::span<Value>> parts;
    for (const model::TorchTensor& tensor : tensors) {
      parts.push_back(all.first(static_cast<std::size_t>(tensor.spec.elements())));
      all = all.subspan(parts.back().size());
    }
    return parts;
  }
};

// Of a job on data of this shape. Errors: kUsage.
[[nodiscard]] Result<DescribedModel> describe_model(const Job& job, const data::DatasetSize& data);

}  // namespace rubato::exchange
