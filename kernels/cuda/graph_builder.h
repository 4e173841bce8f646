// A graph of several of cuDNN's operations, in the making: tensors, and operations from tensor to tensor, each said by
// one call. What is between operations is virtual: it lies nowhere, an engine keeps it in registers.
//
// Of what fails the first error is kept, and given when the graph is finished; calls behind it do nothing. A tensor
// that a call gives is to be handed to further calls, and to nobody else.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cudnn.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "kernels/cuda/cudnn_descriptor.h"
#include "kernels/cuda/engine_plan.h"

namespace rubato::kernels::cuda {

class GraphBuilder {
 public:
  using Tensor = const CudnnDescriptor*;
  using Extents = std::array<std::int64_t, 4>;
  struct Shape {
    Extents dims, strides;
  };
  struct Kind {
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    Shape shape;
  };

  // What lies in memory, under this id, which is the caller's to choose; or is read from the host when the plan is run,
  // one float32.
  Tensor tensor(std::int64_t id, const Kind& kind) { return make_tensor(id, kind, Place::kMemory); }
  Tensor scalar(std::int64_t id) { return make_tensor(id, {CUDNN_DATA_FLOAT, {kOnes, kOnes}}, Place::kHost); }
  Tensor between(const Kind& kind) { return make_tensor(next_id_++, kind, Place::kNowhere); }

  // Each gives `to`.
  Tensor product(Tensor left, Tensor right, Tensor to);
  Tensor pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor to);
  Tensor pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b, Tensor to);
  // Over what is 1 long in `to`.
  Tensor reduce(cudnnReduceTensorOp_t mode, Tensor x, Tensor to);
  // The same numbers, read in the order of `to`.
  Tensor view(Tensor x, Tensor to);
  // x, but -inf, which `minus_infinity` is, where the last index is above the one before it.
  Tensor causal(Tensor x, Tensor minus_infinity, const Shape& shape);

  // Errors: kDevice.
  [[nodiscard]] Status finish(const PlanTarget& target);
  [[nodiscard]] const CudnnDescriptor& graph() const { return *made_.all.back(); }

 private:
  static constexpr Extents kOnes = {1, 1, 1, 1};
  enum class Place : std::uint8_t { kMemory, kHost, kNowhere };

  // What a descriptor refers to comes before it, and goes after it.
  struct Made {
    std::vector<std::unique_ptr<CudnnDescriptor>> all;
    Made() = default;
    Made(const Made&) = delete;
    Made& operator=(const Made&) = delete;
    ~Made() {
      while (!all.empty()) all.pop_back();
    }
  };

  struct Port {
    cudnnBackendAttributeName_t which;
    Tensor what;
  };

  Tensor make_tensor(std::int64_t id, const Kind& kind, Place place);
  Tensor position(Tensor x, std::int64_t axis, const Shape& shape);
  Tensor how_pointwise(cudnnPointwiseMode_t mode, cudnnDataType_t precision = CUDNN_DATA_FLOAT);
  void add(cudnnBackendDescriptorType_t type, const char* name, const std::vector<Port>& ports);
  Tensor keep(Result<CudnnDescriptor> made);
  template <typename... T>
  Tensor make(cudnnBackendDescriptorType_t type, const char* name, const Attribute<T>&... attributes) {
    return status_.ok() ? keep(make_descriptor(type, name, attributes...)) : nullptr;
  }

  Made made_;
  std::vector<Tensor> operations_;
  std::int64_t next_id_ = 1000;  // of what is between operations
  Status status_;
};

}  // namespace rubato::kernels::cuda
