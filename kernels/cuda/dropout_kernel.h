// Dropout's kernels, as functions that enqueue them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace rubato::kernels::cuda {

struct DropoutDraw {
  std::uint32_t layer = 0;
  float rate = 0.0f, scale = 1.0f;
};

// Of `samples` rows of `width` elements, by their ids, behind which is the epoch's key: alive[i] = 1 for what is kept,
// to = scale * from there.
cudaError_t enqueue_dropout(const DropoutDraw& draw, const std::uint64_t* ids, const float* from, float* to,
                            std::uint8_t* alive, std::size_t samples, std::size_t width, cudaStream_t stream);
cudaError_t enqueue_dropout_gradient(float scale, const std::uint8_t* alive, const float* from, float* to,
                                     std::size_t count, cudaStream_t stream);

}  // namespace rubato::kernels::cuda
