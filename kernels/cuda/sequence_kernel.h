// The kernels of sequences that end earlier than others, as functions that enqueue them. `lengths`: of each sample,
// from 1 to all positions.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace rubato::kernels::cuda {

// Tensors of samples x positions x channels. Of the channels those from `reversed` on are of a cell that reads from the
// end: what it reads last is the first position.
struct SequenceShape {
  std::size_t samples = 0, positions = 0, channels = 0, reversed = 0;

  [[nodiscard]] std::size_t count() const { return samples * positions * channels; }
};

// to (samples x channels): of each channel what is at the position read last.
cudaError_t enqueue_last(const SequenceShape& shape, const std::int32_t* lengths, const float* from, float* to,
                         cudaStream_t stream);
// The other way: zeros at all others.
cudaError_t enqueue_last_gradient(const SequenceShape& shape, const std::int32_t* lengths, const float* from, float* to,
                                  cudaStream_t stream);
// to = from, zeros behind a sample's end.
cudaError_t enqueue_what_is_there(const SequenceShape& shape, const std::int32_t* lengths, const float* from, float* to,
                                  cudaStream_t stream);

}  // namespace rubato::kernels::cuda
