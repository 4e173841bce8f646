// Activations that are fused into another operation: forward as a post-operation of its primitive,
// backward as a primitive of its own that works in place and needs only the operation's output (true of
// ReLU, tanh and the sigmoid: their derivatives are functions of their values).
#pragma once

#include <cstddef>

#include "base/result.h"
#include "kernels/cpu/primitive.h"
#include "kernels/op_desc.h"

namespace rubato::kernels {

// Attributes with the user's scratchpad and `activation` after the operation.
[[nodiscard]] dnnl::primitive_attr with_activation(Activation activation);

class ActivationBackward {
 public:
  ActivationBackward() = default;
  // May throw dnnl::error. `data`: of the output and of its gradient.
  ActivationBackward(const CpuContext& context, Activation activation, const dnnl::memory::desc& data);

  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  void bind(const float* output, float* gradient, void* scratch);
  Status run() const;

 private:
  bool identity_ = true;
  std::size_t scratch_bytes_ = 0;
  Primitive primitive_;
};

}  // namespace rubato::kernels
