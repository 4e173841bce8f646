// The kernels of causal attention's softmax, as functions that enqueue them. The products around them are cuBLASLt's
// (kernels/cuda/attention.cc).
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace rubato::kernels::cuda {

// Matrices of `positions` x `positions` scores, one behind the other: row `p` is what position p makes of those up to
// it, and of no later one.
struct ScoreShape {
  std::size_t matrices = 0, positions = 0;
  float scale = 1.0f;  // of each score, first
};

// In place: each row's softmax, zeros behind the diagonal.
cudaError_t enqueue_causal_softmax(const ScoreShape& shape, float* scores, cudaStream_t stream);
// In place: from the gradients of the softmax to those of the scores as they were; zeros behind the diagonal.
cudaError_t enqueue_causal_softmax_gradient(const ScoreShape& shape, const float* chances, float* gradients,
                                            cudaStream_t stream);

}  // namespace rubato::kernels::cuda
