#include "base/float16.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/rounding_kernel.h"

namespace rubato::kernels::cuda {
namespace {

__global__ void round_kernel(const float* from, std::uint16_t* to, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) to[i] = to_bfloat(from[i]);
}

__global__ void widen_kernel(const std::uint16_t* from, float* to, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) to[i] = from_bfloat(from[i]);
}

}  // namespace

cudaError_t enqueue_round(const float* from, std::uint16_t* to, std::size_t count, cudaStream_t stream) {
  return launch(round_kernel, grid_over(count), stream, from, to, count);
}

cudaError_t enqueue_widen(const std::uint16_t* from, float* to, std::size_t count, cudaStream_t stream) {
  return launch(widen_kernel, grid_over(count), stream, from, to, count);
}

}  // namespace rubato::kernels::cuda
