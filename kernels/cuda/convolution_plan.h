// One call of a convolution as a plan of cuDNN's graph API: a graph of a single node, the engine that computes it, and
// the scratch memory that the engine wants.
//
// Tensors are float32, or, with kBfloat16, all three bfloat16, products summed in float32 with either: cuDNN 9.19 has
// no engine that multiplies bfloat16 and gives float32. They lie as everywhere in Rubato: activations channels-last,
// weights (out, kernel, kernel, in).
// cuDNN counts dimensions as N, C, H, W whatever the layout is, and is told it by strides.
//
// The engine is the first that cuDNN's heuristics name for the shape and the GPU which gives equal inputs equal bits,
// multiplies numbers as they are, or as TF32 where that is asked for, sums products directly and fits into the scratch
// memory
// (`is_welcome`). A choice by time would differ from one worker to the next (docs/decisions/convolutions-on-cuda.md).
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/cuda/cuda_context.h"
#include "kernels/cuda/cudnn_descriptor.h"
#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

enum class ConvolutionCall : std::uint8_t { kForward, kBackwardData, kBackwardWeights };
[[nodiscard]] const char* name_of(ConvolutionCall call);

// The GPU that a plan is for: that of a handle, or one that is only described (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR,
// since cuDNN 9.8), for which plans can be made and not run.
struct PlanTarget {
  cudnnHandle_t handle = nullptr;
  const CudnnDescriptor* properties = nullptr;
};

// Each is an input of two of the calls and the output of the third.
struct ConvolutionTensors {
  const void* input = nullptr;    // or its gradient
  const void* weights = nullptr;  // or theirs
  const void* output = nullptr;   // or its gradient, before bias and activation
  friend bool operator==(const ConvolutionTensors&, const ConvolutionTensors&) = default;
};

// What an engine is to multiply, and may take.
struct EngineLimits {
  Precision precision = Precision::kFloat32;  // kTf32: tensors are float32, and may be multiplied on tensor cores
  // It lies in the scratch memory that all operations share.
  std::size_t scratch_max = std::size_t{256} << 20;
};

class ConvolutionPlan {
 public:
  ConvolutionPlan() = default;
  // Bias and activation of the description are not part of it. Errors: kDevice.
  static Result<ConvolutionPlan> choose(const PlanTarget& target, const ConvolutionDesc& desc, ConvolutionCall call,
                                        const EngineLimits& limits = {});

  [[nodiscard]] std::int64_t engine() const { return engine_; }
  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  // The call's output is overwritten; the others are read.
  [[nodiscard]] Status run(const CudaContext& context, const ConvolutionTensors& at, void* scratch);

 private:
  [[nodiscard]] Status describe(const PlanTarget& target, const ConvolutionDesc& desc, ConvolutionCall call,
                                Precision precision);
  [[nodiscard]] Status choose_engine(const PlanTarget& target, const EngineLimits& limits);
  [[nodiscard]] Status try_engines(const PlanTarget& target, cudnnBackendHeurMode_t mode, const EngineLimits& limits);
  [[nodiscard]] Status take(const PlanTarget& target, CudnnDescriptor config, const EngineLimits& limits);
  [[nodiscard]] Status pack(const ConvolutionTensors& at, void* scratch);

  // What a descriptor refers to comes before it.
  CudnnDescriptor input_, weights_, output_, convolution_, operation_, graph_, config_, plan_;
  std::int64_t engine_ = 0;
  std::size_t scratch_bytes_ = 0;
  bool chosen_ = false;
  // The addresses of the last run, as cuDNN wants them.
  CudnnDescriptor pack_;
  ConvolutionTensors packed_;
  void* packed_scratch_ = nullptr;
  std::string text_;  // for errors
};

}  // namespace rubato::kernels::cuda
