#include "kernels/cuda/block_reduce.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/softmax_kernel.h"

namespace rubato::kernels::cuda {
namespace {

// A block for each row; a thread reads and writes the same columns throughout. A row is computed as on the CPU
// (kernels/cpu/attention.cc): greatest score, exponentials, their sum. The scale is positive, so that the greatest
// score is the greatest scaled one, too.
__global__ void softmax_kernel(ScoreShape shape, float* scores) {
  __shared__ float room[kThreads];
  for (std::size_t index = blockIdx.x; index < shape.matrices * shape.positions; index += gridDim.x) {
    float* const row = scores + index * shape.positions;
    const std::size_t seen = index % shape.positions + 1;
    float most = row[0];
    for (std::size_t i = threadIdx.x; i < seen; i += kThreads) most = row[i] > most ? row[i] : most;
    const float top = shape.scale * block_fold(most, room, [](float a, float b) { return a > b ? a : b; });
    float own = 0.0f;
    for (std::size_t i = threadIdx.x; i < shape.positions; i += kThreads) {
      row[i] = i < seen ? expf(shape.scale * row[i] - top) : 0.0f;
      own += row[i];
    }
    const float share = 1.0f / block_sum(own, room);
    for (std::size_t i = threadIdx.x; i < seen; i += kThreads) row[i] *= share;
  }
}

// Of chances c with gradients g: scale * c * (g - sum of all c g). Behind the diagonal g is whatever the product made
// of it, so it is not looked at.
__global__ void softmax_gradient_kernel(ScoreShape shape, const float* chances, float* gradients) {
  __shared__ float room[kThreads];
  for (std::size_t index = blockIdx.x; index < shape.matrices * shape.positions; index += gridDim.x) {
    const float* const chance = chances + index * shape.positions;
    float* const gradient = gradients + index * shape.positions;
    const std::size_t seen = index % shape.positions + 1;
    float own = 0.0f;
    for (std::size_t i = threadIdx.x; i < seen; i += kThreads) own += chance[i] * gradient[i];
    const float delta = block_sum(own, room);
    for (std::size_t i = threadIdx.x; i < shape.positions; i += kThreads)
      gradient[i] = i < seen ? shape.scale * (chance[i] * (gradient[i] - delta)) : 0.0f;
  }
}

}  // namespace

cudaError_t enqueue_causal_softmax(const ScoreShape& shape, float* scores, cudaStream_t stream) {
  return launch(softmax_kernel, grid_of_rows(shape.matrices * shape.positions), stream, shape, scores);
}

cudaError_t enqueue_causal_softmax_gradient(const ScoreShape& shape, const float* chances, float* gradients,
                                            cudaStream_t stream) {
  return launch(softmax_gradient_kernel, grid_of_rows(shape.matrices * shape.positions), stream, shape, chances,
                gradients);
}

}  // namespace rubato::kernels::cuda
