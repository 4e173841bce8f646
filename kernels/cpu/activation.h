// Activations that are fused into another operation. ReLU, tanh and the sigmoid are a post-operation of its primitive,
// and backward needs only the operation's output: their derivatives are functions of their values. GELU falls and
// rises again, so two inputs have one output: in training the operation writes its result into `saved`, GELU reads it
// there, forward and backward. In evaluation GELU is a post-operation, too.
//
// Backward works in place.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/cpu/primitive.h"
#include "kernels/op_desc.h"

namespace rubato::kernels {

// What it is to oneDNN; not none. `alpha` and `beta` are constants in oneDNN's formula, 0 where that has none of them.
struct ActivationAlgorithms {
  dnnl::algorithm forward, backward;
  bool from_output;  // backward reads the output; else the input
  float alpha, beta;
};
[[nodiscard]] ActivationAlgorithms algorithms(Activation activation);

// Attributes with the user's scratchpad and, where it can be one, `activation` after the operation.
[[nodiscard]] dnnl::primitive_attr with_activation(Activation activation, bool training);

class FusedActivation {
 public:
  FusedActivation() = default;
  // May throw dnnl::error. `data`: of the output and of its gradient. Where the operation cannot do it itself, it is
  // not `fused`, but done on its output.
  FusedActivation(const CpuContext& context, Activation activation, const dnnl::memory::desc& data, bool training,
                  bool fused = true);

  [[nodiscard]] std::size_t saved_bytes() const { return saved_bytes_; }
  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }

  // `saved`: saved_bytes() of the operation's own. Gives where the operation's primitive has to write.
  float* bind(const Ports& ports, void* saved);
  // After the operation's primitive.
  Status forward() const { return behind_ ? forward_.execute() : Status{}; }
  Status backward() const { return identity_ ? Status{} : backward_.execute(); }

 private:
  bool identity_ = true;  // backward
  bool behind_ = false;   // forward is a call of its own
  std::size_t saved_bytes_ = 0, scratch_bytes_ = 0;
  Primitive forward_, backward_;
};

}  // namespace rubato::kernels
