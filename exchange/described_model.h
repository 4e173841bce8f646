// The network of a job without its weights and without a device: what its parameters are called here and in PyTorch.
//
// Thread-safety: plain values.
#pragma once

#include <cstddef>
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
};

// Of a job on data of this shape. Errors: kUsage.
[[nodiscard]] Result<DescribedModel> describe_model(const Job& job, const data::DatasetSize& data);

}  // namespace rubato::exchange
