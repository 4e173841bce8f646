// One call of a convolution as a plan of cuDNN's graph API: a graph of a single node, the engine that computes it, and
// the scratch memory that the engine wants.
//
// Tensors are float32, or, with kBfloat16, all three bfloat16, products summed in float32 with either: cuDNN 9.19 has
// no engine that multiplies bfloat16 and gives float32. They lie as everywhere in Rubato: activations channels-last,
// weights (out, kernel, kernel, in).
// cuDNN counts dimensions as N, C, H, W whatever the layout is, and is told it by strides.
//
// Which engine that is: kernels/cuda/engine_plan.h.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "kernels/cuda/cuda_context.h"
#include "kernels/cuda/engine_plan.h"
#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

enum class ConvolutionCall : std::uint8_t { kForward, kBackwardData, kBackwardWeights };
[[nodiscard]] const char* name_of(ConvolutionCall call);

// Each is an input of two of the calls and the output of the third.
struct ConvolutionTensors {
  const void* input = nullptr;    // or its gradient
  const void* weights = nullptr;  // or theirs
  const void* output = nullptr;   // or its gradient, before bias and activation
};

class ConvolutionPlan {
 public:
  ConvolutionPlan() = default;
  // Bias and activation of the description are not part of it. Errors: kDevice.
  static Result<ConvolutionPlan> choose(const PlanTarget& target, const ConvolutionDesc& desc, ConvolutionCall call,
                                        const EngineLimits& limits = {});

  [[nodiscard]] std::int64_t engine() const { return plan_.engine(); }
  [[nodiscard]] std::size_t scratch_bytes() const { return plan_.scratch_bytes(); }
  // The call's output is overwritten; the others are read.
  [[nodiscard]] Status run(const CudaContext& context, const ConvolutionTensors& at, void* scratch);

 private:
  [[nodiscard]] Status describe(const PlanTarget& target, const ConvolutionDesc& desc, ConvolutionCall call,
                                Precision precision);
  [[nodiscard]] Status choose_engine(const PlanTarget& target, const EngineLimits& limits);

  // What a descriptor refers to comes before it.
  CudnnDescriptor input_, weights_, output_, convolution_, operation_, graph_;
  EnginePlan plan_;
  AddressPack pack_;
  std::string text_;  // for errors
};

}  // namespace rubato::kernels::cuda
