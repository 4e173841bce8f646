#include "kernels/cuda/block_reduce.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/norm_kernel.h"

namespace rubato::kernels::cuda {
namespace {

__device__ float normalized(float x, const NormMoments& m) { return (x - m.shift - m.rest) * m.scale; }

// The numbers of one group of one sample, counted through: pixel by pixel, and in each the group's channels.
struct Group {
  std::size_t first, width, channels, size, first_channel;

  __device__ Group(const NormShape& shape, std::size_t index)
      : first(index / shape.groups * shape.pixels * shape.channels),
        width(shape.channels / shape.groups),
        channels(shape.channels),
        size(width * shape.pixels),
        first_channel(index % shape.groups * width) {}
  __device__ std::size_t channel(std::size_t i) const { return first_channel + i % width; }
  __device__ std::size_t at(std::size_t i) const { return first + i / width * channels + channel(i); }
};

// The group of an element of the tensor.
__device__ std::size_t group_of(const NormShape& shape, std::size_t element) {
  const std::size_t sample = element / shape.channels / shape.pixels;
  return sample * shape.groups + element % shape.channels / (shape.channels / shape.groups);
}

// Mean and variance by the corrected two-pass algorithm (Chan, Golub and LeVeque 1983).
__device__ NormMoments moments_of(const float* x, const Group& group, float epsilon, float* room) {
  const float share = 1.0f / static_cast<float>(group.size);
  float sum = 0.0f;
  for (std::size_t i = threadIdx.x; i < group.size; i += kThreads) sum += x[group.at(i)];
  const float shift = share * block_sum(sum, room);
  float rest = 0.0f, squares = 0.0f;
  for (std::size_t i = threadIdx.x; i < group.size; i += kThreads) {
    const float d = x[group.at(i)] - shift;
    rest += d;
    squares += d * d;
  }
  const float mean = share * block_sum(rest, room);
  const float variance = share * block_sum(squares, room) - mean * mean;
  // Of numbers that are large and alike roundings may leave less than nothing. (What is no number stays so.)
  return {shift, mean, 1.0f / sqrtf((variance < 0.0f ? 0.0f : variance) + epsilon)};
}

// A block for each group of each sample.
__global__ void norm_kernel(NormShape shape, const float* from, const float* weight, const float* bias, float* to,
                            NormMoments* moments) {
  __shared__ float room[kThreads];
  for (std::size_t index = blockIdx.x; index < shape.samples * shape.groups; index += gridDim.x) {
    const Group group(shape, index);
    const NormMoments m = moments_of(from, group, shape.epsilon, room);
    for (std::size_t i = threadIdx.x; i < group.size; i += kThreads)
      to[group.at(i)] = normalized(from[group.at(i)], m) * weight[group.channel(i)] + bias[group.channel(i)];
    if (moments != nullptr && threadIdx.x == 0) moments[index] = m;
  }
}

__global__ void means_kernel(NormShape shape, const float* input, const float* gradient, const float* weight,
                             const NormMoments* moments, NormMeans* means) {
  __shared__ float room[kThreads];
  for (std::size_t index = blockIdx.x; index < shape.samples * shape.groups; index += gridDim.x) {
    const Group group(shape, index);
    float own_gradient = 0.0f, own_product = 0.0f;
    for (std::size_t i = threadIdx.x; i < group.size; i += kThreads) {
      const float g = gradient[group.at(i)] * weight[group.channel(i)];
      own_gradient += g;
      own_product += g * normalized(input[group.at(i)], moments[index]);
    }
    const float share = 1.0f / static_cast<float>(group.size);
    const float all_gradient = block_sum(own_gradient, room), all_product = block_sum(own_product, room);
    if (threadIdx.x == 0) means[index] = {share * all_gradient, share * all_product};
  }
}

// A thread for each channel, as kernels/cuda/column_sums.cu.
__global__ void weights_kernel(NormShape shape, const float* input, const float* gradient, const NormMoments* moments,
                               float* weight_gradient, float* bias_gradient) {
  for (std::size_t c = first_index(); c < shape.channels; c += index_stride()) {
    float weight = 0.0f, bias = 0.0f;
    for (std::size_t at = c; at < shape.samples * shape.pixels * shape.channels; at += shape.channels) {
      weight += gradient[at] * normalized(input[at], moments[group_of(shape, at)]);
      bias += gradient[at];
    }
    weight_gradient[c] = weight;
    bias_gradient[c] = bias;
  }
}

__global__ void data_kernel(NormShape shape, const float* input, const float* gradient, const float* weight,
                            const NormMoments* moments, const NormMeans* means, float* to) {
  for (std::size_t i = first_index(); i < shape.samples * shape.pixels * shape.channels; i += index_stride()) {
    const NormMoments m = moments[group_of(shape, i)];
    const NormMeans mean = means[group_of(shape, i)];
    const float g = gradient[i] * weight[i % shape.channels];
    to[i] = m.scale * (g - mean.gradient - normalized(input[i], m) * mean.product);
  }
}

}  // namespace

cudaError_t enqueue_norm(const NormShape& shape, const float* from, const float* weight, const float* bias, float* to,
                         NormMoments* moments, cudaStream_t stream) {
  return launch(norm_kernel, grid_of_rows(shape.samples * shape.groups), stream, shape, from, weight, bias, to,
                moments);
}

cudaError_t enqueue_norm_means(const NormShape& shape, const float* input, const float* gradient, const float* weight,
                               const NormMoments* moments, NormMeans* means, cudaStream_t stream) {
  return launch(means_kernel, grid_of_rows(shape.samples * shape.groups), stream, shape, input, gradient, weight,
                moments, means);
}

cudaError_t enqueue_norm_weights(const NormShape& shape, const float* input, const float* gradient,
                                 const NormMoments* moments, float* weight_gradient, float* bias_gradient,
                                 cudaStream_t stream) {
  return launch(weights_kernel, grid_over(shape.channels), stream, shape, input, gradient, moments, weight_gradient,
                bias_gradient);
}

cudaError_t enqueue_norm_data(const NormShape& shape, const float* input, const float* gradient, const float* weight,
                              const NormMoments* moments, const NormMeans* means, float* to, cudaStream_t stream) {
  return launch(data_kernel, grid_over(shape.samples * shape.pixels * shape.channels), stream, shape, input, gradient,
                weight, moments, means, to);
}

}  // namespace rubato::kernels::cuda
