#include "kernels/cuda/average_kernel.h"
#include "kernels/cuda/launch.h"

namespace rubato::kernels::cuda {
namespace {

__device__ std::size_t pixels_there(const AveragedShape& shape, const std::int32_t* lengths, std::size_t sample) {
  if (lengths == nullptr) return shape.height * shape.width;
  const auto rows = static_cast<std::size_t>(lengths[sample]);
  return (rows < shape.height ? rows : shape.height) * shape.width;
}

// A thread for each channel of each sample; the order is that of the pixels.
__global__ void average_kernel(AveragedShape shape, const std::int32_t* lengths, const float* from, float* to) {
  for (std::size_t i = first_index(); i < shape.samples * shape.channels; i += index_stride()) {
    const std::size_t sample = i / shape.channels, channel = i % shape.channels;
    const std::size_t there = pixels_there(shape, lengths, sample);
    const float* const pixels = from + sample * shape.height * shape.width * shape.channels + channel;
    float sum = 0.0f;
    for (std::size_t p = 0; p < there; ++p) sum += pixels[p * shape.channels];
    to[i] = sum / static_cast<float>(there);
  }
}

__global__ void average_gradient_kernel(AveragedShape shape, const std::int32_t* lengths, const float* from,
                                        float* to) {
  const std::size_t pixels = shape.height * shape.width;
  for (std::size_t i = first_index(); i < shape.samples * pixels * shape.channels; i += index_stride()) {
    const std::size_t sample = i / shape.channels / pixels, there = pixels_there(shape, lengths, sample);
    const float gradient = from[sample * shape.channels + i % shape.channels];
    to[i] = i / shape.channels % pixels < there ? gradient / static_cast<float>(there) : 0.0f;
  }
}

}  // namespace

cudaError_t enqueue_average(const AveragedShape& shape, const std::int32_t* lengths, const float* from, float* to,
                            cudaStream_t stream) {
  return launch(average_kernel, grid_over(shape.samples * shape.channels), stream, shape, lengths, from, to);
}

cudaError_t enqueue_average_gradient(const AveragedShape& shape, const std::int32_t* lengths, const float* from,
                                     float* to, cudaStream_t stream) {
  const std::size_t count = shape.samples * shape.height * shape.width * shape.channels;
  return launch(average_gradient_kernel, grid_over(count), stream, shape, lengths, from, to);
}

}  // namespace rubato::kernels::cuda
