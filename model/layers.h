// A network written down: named operations, each for one sample, in an order in which they can be computed; what each
// of them reads; and the parameters that follow from them.
//
// NetworkBuilder checks as it goes: the first layer that does not fit ends it with an error that names the layer; later
// calls do nothing.
//
// Thread-safety: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parameter.h"
#include "base/result.h"
#include "kernels/op_desc.h"

namespace rubato::model {

// Of a network: 0 is its input, n the output of its layer n - 1.
using TensorId = std::size_t;

struct Layer {
  std::string name;
  kernels::OpDesc op;  // with one sample
  TensorId input = 0;
  TensorId addend = 0;                                    // where the operation has one (kernels::has_addend)
  std::optional<Initializer> initializer = std::nullopt;  // of all but vectors, where it is not the usual one
};

// The same network without dropout: for evaluation.
[[nodiscard]] std::vector<Layer> without_dropout(const std::vector<Layer>& layers);

// Those of its operation (model/parameter_specs.h), with the layer's own initializer.
[[nodiscard]] std::vector<ParameterSpec> parameter_specs(const Layer& layer);

class NetworkBuilder {
 public:
  explicit NetworkBuilder(kernels::TensorShape input);

  // Each reads the tensor that the builder is at, and moves on to its output.
  void dense(const std::string& name, std::int64_t units, kernels::Activation activation);
  // Of the channels at each position; starts normal with this deviation.
  void dense_per_position(const std::string& name, std::int64_t units, kernels::Activation activation, float deviation);
  void convolution(const std::string& name, kernels::ConvolutionDesc constants);
  // Without bias and activation, for a batch normalization behind it; starts normal, of variance 2 / fan_out.
  void plain_convolution(const std::string& name, kernels::ConvolutionDesc constants);
  void pool(const std::string& name, kernels::PoolDesc constants);
  void global_average(const std::string& name);
  void dropout(const std::string& name, double rate, std::uint64_t seed);  // nothing if the rate is 0
  void batch_norm(const std::string& name, kernels::Activation activation);
  // Of the sum with `addend`, which has to have the same shape.
  void batch_norm_and_add(const std::string& name, TensorId addend, kernels::Activation activation);
  void add(const std::string& name, TensorId addend, kernels::Activation activation);
  // Of tokens, and of their positions; both tables start normal with this deviation.
  void embedding(const std::string& name, std::int64_t rows, std::int64_t width, float deviation);
  void layer_norm(const std::string& name);
  void attention(const std::string& name, std::int64_t heads);
  void recurrent(const std::string& name, kernels::RecurrentDesc constants);
  // Any operation, with the input that it says and the usual first values.
  void append(const std::string& name, const kernels::OpDesc& op, TensorId addend = 0);
  // Ends it: later calls do nothing.
  void fail(Error error);

  [[nodiscard]] TensorId here() const { return here_; }
  // Goes on from an earlier tensor.
  void go_to(TensorId tensor);
  // Whether all layers so far were possible; what finish() says.
  [[nodiscard]] Status status() const { return status_; }
  // Of the tensor that the next layer would read.
  [[nodiscard]] const kernels::TensorShape& shape() const { return shapes_[here_]; }

  [[nodiscard]] Result<std::vector<Layer>> finish() &&;

 private:
  void start_normal(float deviation);  // what was appended last

  std::vector<kernels::TensorShape> shapes_;  // by tensor
  TensorId here_ = 0;
  std::vector<Layer> layers_;
  Status status_;
};

}  // namespace rubato::model
