// The kernels of pooling, as functions that enqueue them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

// Windows as kernels::PoolDesc has them; `input` and `output` are all tensors' shapes.
struct PoolShape {
  TensorShape input, output;
  std::int64_t window, stride, padding;
  bool maximum;
};

// Before the activation. `chosen`, where it is not null, gets the place in its window of each maximum, of equal ones
// the first: row * window + column.
cudaError_t enqueue_pool(const PoolShape& shape, const float* from, float* to, std::uint16_t* chosen,
                         cudaStream_t stream);
cudaError_t enqueue_pool_gradient(const PoolShape& shape, const float* gradient, const std::uint16_t* chosen, float* to,
                                  cudaStream_t stream);

}  // namespace rubato::kernels::cuda
