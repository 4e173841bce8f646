// By which of cuDNN's engines a graph is computed, and the scratch memory that the engine wants.
//
// It is the first that cuDNN's heuristics name for the graph and the GPU which gives equal inputs equal bits, rounds no
// more than it is told to, sums products directly and fits into the scratch memory (`is_welcome`). A choice by time
// would differ from one worker to the next (docs/decisions/convolutions-on-cuda.md).
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/cuda/cudnn_descriptor.h"

namespace rubato::kernels::cuda {

// The GPU that a plan is for: that of a handle, or one that is only described (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR,
// since cuDNN 9.8), for which plans can be made and not run.
struct PlanTarget {
  cudnnHandle_t handle = nullptr;
  const CudnnDescriptor* properties = nullptr;
};

// Of every tensor, at least: model/memory_plan.cc, cudaMalloc.
constexpr std::int64_t kTensorAlignment = 16;

// What an engine is to multiply, and may take.
struct EngineLimits {
  Precision precision = Precision::kFloat32;  // kTf32: tensors are float32, and may be multiplied on tensor cores
  // It lies in the scratch memory that all operations share.
  std::size_t scratch_max = std::size_t{256} << 20;
  bool compiled = false;  // it may be compiled when the plan is made, which takes half a second, and NVRTC
};

// Of these operations, finalized. They must outlive it.
[[nodiscard]] Result<CudnnDescriptor> make_graph(const PlanTarget& target,
                                                 const std::vector<const CudnnDescriptor*>& operations);

class EnginePlan {
 public:
  EnginePlan() = default;
  // Nothing, where there is no such engine. The graph must outlive it. Errors: kDevice.
  static Result<std::optional<EnginePlan>> choose(const PlanTarget& target, const CudnnDescriptor& graph,
                                                  const EngineLimits& limits);

  [[nodiscard]] std::int64_t engine() const { return engine_; }
  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  [[nodiscard]] cudnnBackendDescriptor_t get() const { return plan_.get(); }

 private:
  // What a descriptor refers to comes before it.
  CudnnDescriptor config_, plan_;
  std::int64_t engine_ = 0;
  std::size_t scratch_bytes_ = 0;
};

// The addresses that a plan is run with, by the ids of its tensors: made again only where they have changed.
class AddressPack {
 public:
  struct Tensor {
    std::int64_t id = 0;
    const void* at = nullptr;
    friend bool operator==(const Tensor&, const Tensor&) = default;
  };
  // Errors: kDevice.
  [[nodiscard]] Status pack(const std::vector<Tensor>& tensors, void* scratch);
  [[nodiscard]] cudnnBackendDescriptor_t get() const { return pack_.get(); }

 private:
  CudnnDescriptor pack_;
  std::vector<Tensor> packed_;
  void* packed_scratch_ = nullptr;
};

}  // namespace rubato::kernels::cuda
