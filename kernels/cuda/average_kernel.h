// The kernels of means over the pixels of a sample, as functions that enqueue them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace rubato::kernels::cuda {

// Rows of pixels; where there are lengths, of each sample, so many of them are there.
struct AveragedShape {
  std::size_t samples = 0, height = 0, width = 0, channels = 0;
};

cudaError_t enqueue_average(const AveragedShape& shape, const std::int32_t* lengths, const float* from, float* to,
                            cudaStream_t stream);
// What is behind a sample's end gets zeros.
cudaError_t enqueue_average_gradient(const AveragedShape& shape, const std::int32_t* lengths, const float* from,
                                     float* to, cudaStream_t stream);

}  // namespace rubato::kernels::cuda
