#include "kernels/cuda/dropout_kernel.h"
#include "kernels/cuda/launch.h"
#include "kernels/dropout_mask.h"

namespace rubato::kernels::cuda {
namespace {

// A thread for each four elements, which share a block of random bits.
__global__ void dropout_kernel(DropoutDraw draw, const std::uint64_t* ids, const float* from, float* to,
                               std::uint8_t* alive, std::size_t samples, std::size_t width) {
  const std::size_t quads = (width + 3) / 4;
  for (std::size_t i = first_index(); i < samples * quads; i += index_stride()) {
    const std::size_t sample = i / quads, quad = i % quads;
    const PhiloxBlock bits = dropout_bits(ids[samples], draw.layer, quad, ids[sample]);
    for (std::size_t word = 0; word < 4 && 4 * quad + word < width; ++word) {
      const std::size_t at = sample * width + 4 * quad + word;
      const bool keeps = dropout_keeps(bits[word], draw.rate);
      alive[at] = keeps ? 1 : 0;
      to[at] = keeps ? draw.scale * from[at] : 0.0f;
    }
  }
}

__global__ void dropout_gradient_kernel(float scale, const std::uint8_t* alive, const float* from, float* to,
                                        std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) to[i] = alive[i] != 0 ? scale * from[i] : 0.0f;
}

}  // namespace

cudaError_t enqueue_dropout(const DropoutDraw& draw, const std::uint64_t* ids, const float* from, float* to,
                            std::uint8_t* alive, std::size_t samples, std::size_t width, cudaStream_t stream) {
  return launch(dropout_kernel, grid_over(samples * ((width + 3) / 4)), stream, draw, ids, from, to, alive, samples,
                width);
}

cudaError_t enqueue_dropout_gradient(float scale, const std::uint8_t* alive, const float* from, float* to,
                                     std::size_t count, cudaStream_t stream) {
  return launch(dropout_gradient_kernel, grid_over(count), stream, scale, alive, from, to, count);
}

}  // namespace rubato::kernels::cuda
