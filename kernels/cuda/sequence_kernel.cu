#include "kernels/cuda/launch.h"
#include "kernels/cuda/sequence_kernel.h"

namespace rubato::kernels::cuda {
namespace {

__device__ std::size_t read_last(const SequenceShape& shape, const std::int32_t* lengths, std::size_t sample,
                                 std::size_t channel) {
  return channel < shape.reversed ? static_cast<std::size_t>(lengths[sample]) - 1 : 0;
}

__global__ void last_kernel(SequenceShape shape, const std::int32_t* lengths, const float* from, float* to) {
  for (std::size_t i = first_index(); i < shape.samples * shape.channels; i += index_stride()) {
    const std::size_t sample = i / shape.channels, channel = i % shape.channels;
    const std::size_t row = sample * shape.positions + read_last(shape, lengths, sample, channel);
    to[i] = from[row * shape.channels + channel];
  }
}

__global__ void last_gradient_kernel(SequenceShape shape, const std::int32_t* lengths, const float* from, float* to) {
  for (std::size_t i = first_index(); i < shape.samples * shape.positions * shape.channels; i += index_stride()) {
    const std::size_t channel = i % shape.channels, row = i / shape.channels;
    const std::size_t sample = row / shape.positions;
    const bool last = row % shape.positions == read_last(shape, lengths, sample, channel);
    to[i] = last ? from[sample * shape.channels + channel] : 0.0f;
  }
}

__global__ void there_kernel(SequenceShape shape, const std::int32_t* lengths, const float* from, float* to) {
  for (std::size_t i = first_index(); i < shape.samples * shape.positions * shape.channels; i += index_stride()) {
    const std::size_t row = i / shape.channels;
    to[i] = row % shape.positions < static_cast<std::size_t>(lengths[row / shape.positions]) ? from[i] : 0.0f;
  }
}

}  // namespace

cudaError_t enqueue_last(const SequenceShape& shape, const std::int32_t* lengths, const float* from, float* to,
                         cudaStream_t stream) {
  return launch(last_kernel, grid_over(shape.samples * shape.channels), stream, shape, lengths, from, to);
}

cudaError_t enqueue_last_gradient(const SequenceShape& shape, const std::int32_t* lengths, const float* from, float* to,
                                  cudaStream_t stream) {
  return launch(last_gradient_kernel, grid_over(shape.count()), stream, shape, lengths, from, to);
}

cudaError_t enqueue_what_is_there(const SequenceShape& shape, const std::int32_t* lengths, const float* from, float* to,
                                  cudaStream_t stream) {
  return launch(there_kernel, grid_over(shape.count()), stream, shape, lengths, from, to);
}

}  // namespace rubato::kernels::cuda
