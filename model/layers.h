// A network written down: a chain of named operations, each for one sample, and the parameters that
// follow from them.
//
// LayerChain checks as it is built: the first layer that does not fit ends it with an error that names
// the layer; later calls do nothing.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/parameter.h"
#include "base/result.h"
#include "kernels/op_desc.h"

namespace rubato::model {

struct Layer {
  std::string name;
  kernels::OpDesc op;  // with one sample
};

// Weights and biases start as PyTorch's do: uniform within 1 / sqrt(fan_in), which is
// kaiming_uniform(a = sqrt(5)) (He et al. 2015) as torch.nn.Linear and Conv2d call it.
[[nodiscard]] std::vector<ParameterSpec> parameter_specs(const Layer& layer);

class LayerChain {
 public:
  explicit LayerChain(kernels::TensorShape input);

  void dense(const std::string& name, std::int64_t units, kernels::Activation activation);
  void convolution(const std::string& name, kernels::ConvolutionDesc constants);
  void pool(const std::string& name, kernels::PoolDesc constants);
  void dropout(double rate, std::uint64_t seed);  // nothing if the rate is 0

  // The shape that the next layer would read.
  [[nodiscard]] const kernels::TensorShape& shape() const { return shape_; }
  [[nodiscard]] Result<std::vector<Layer>> finish() &&;

 private:
  void append(const std::string& name, const kernels::OpDesc& op);

  kernels::TensorShape shape_;
  std::vector<Layer> layers_;
  Status status_;
};

}  // namespace rubato::model
