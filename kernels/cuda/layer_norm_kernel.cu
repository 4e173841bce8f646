#include "kernels/cuda/block_reduce.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/layer_norm_kernel.h"

namespace rubato::kernels::cuda {
namespace {

__device__ float normalized(float x, const NormMoments& m) { return (x - m.shift - m.rest) * m.scale; }

// A block for each row. Mean and variance by the corrected two-pass algorithm (Chan, Golub and LeVeque 1983).
__device__ NormMoments moments_of(const float* x, const NormShape& shape, float* room) {
  const float share = 1.0f / static_cast<float>(shape.channels);
  float sum = 0.0f;
  for (std::size_t c = threadIdx.x; c < shape.channels; c += kThreads) sum += x[c];
  const float shift = share * block_sum(sum, room);
  float rest = 0.0f, squares = 0.0f;
  for (std::size_t c = threadIdx.x; c < shape.channels; c += kThreads) {
    const float d = x[c] - shift;
    rest += d;
    squares += d * d;
  }
  const float mean = share * block_sum(rest, room);
  const float variance = share * block_sum(squares, room) - mean * mean;
  return {shift, mean, 1.0f / sqrtf(variance + shape.epsilon)};
}

__global__ void layer_norm_kernel(NormShape shape, const float* from, const float* weight, const float* bias, float* to,
                                  NormMoments* moments) {
  __shared__ float room[kThreads];
  for (std::size_t row = blockIdx.x; row < shape.rows; row += gridDim.x) {
    const float* const x = from + row * shape.channels;
    const NormMoments m = moments_of(x, shape, room);
    for (std::size_t c = threadIdx.x; c < shape.channels; c += kThreads)
      to[row * shape.channels + c] = normalized(x[c], m) * weight[c] + bias[c];
    if (moments != nullptr && threadIdx.x == 0) moments[row] = m;
  }
}

__global__ void means_kernel(NormShape shape, const float* input, const float* gradient, const float* weight,
                             const NormMoments* moments, NormMeans* means) {
  __shared__ float room[kThreads];
  const float share = 1.0f / static_cast<float>(shape.channels);
  for (std::size_t row = blockIdx.x; row < shape.rows; row += gridDim.x) {
    float own_gradient = 0.0f, own_product = 0.0f;
    for (std::size_t c = threadIdx.x; c < shape.channels; c += kThreads) {
      const std::size_t at = row * shape.channels + c;
      const float g = gradient[at] * weight[c];
      own_gradient += g;
      own_product += g * normalized(input[at], moments[row]);
    }
    const float all_gradient = block_sum(own_gradient, room), all_product = block_sum(own_product, room);
    if (threadIdx.x == 0) means[row] = {share * all_gradient, share * all_product};
  }
}

// A thread for each channel, as kernels/cuda/column_sums.cu.
__global__ void weights_kernel(NormShape shape, const float* input, const float* gradient, const NormMoments* moments,
                               float* weight_gradient, float* bias_gradient) {
  for (std::size_t c = first_index(); c < shape.channels; c += index_stride()) {
    float weight = 0.0f, bias = 0.0f;
    for (std::size_t row = 0; row < shape.rows; ++row) {
      const std::size_t at = row * shape.channels + c;
      weight += gradient[at] * normalized(input[at], moments[row]);
      bias += gradient[at];
    }
    weight_gradient[c] = weight;
    bias_gradient[c] = bias;
  }
}

__global__ void data_kernel(NormShape shape, const float* input, const float* gradient, const float* weight,
                            const NormMoments* moments, const NormMeans* means, float* to) {
  for (std::size_t i = first_index(); i < shape.rows * shape.channels; i += index_stride()) {
    const NormMoments m = moments[i / shape.channels];
    const NormMeans mean = means[i / shape.channels];
    const float g = gradient[i] * weight[i % shape.channels];
    to[i] = m.scale * (g - mean.gradient - normalized(input[i], m) * mean.product);
  }
}

}  // namespace

cudaError_t enqueue_layer_norm(const NormShape& shape, const float* from, const float* weight, const float* bias,
                               float* to, NormMoments* moments, cudaStream_t stream) {
  return launch(layer_norm_kernel, grid_of_rows(shape.rows), stream, shape, from, weight, bias, to, moments);
}

cudaError_t enqueue_layer_norm_means(const NormShape& shape, const float* input, const float* gradient,
                                     const float* weight, const NormMoments* moments, NormMeans* means,
                                     cudaStream_t stream) {
  return launch(means_kernel, grid_of_rows(shape.rows), stream, shape, input, gradient, weight, moments, means);
}

cudaError_t enqueue_layer_norm_weights(const NormShape& shape, const float* input, const float* gradient,
                                       const NormMoments* moments, float* weight_gradient, float* bias_gradient,
                                       cudaStream_t stream) {
  return launch(weights_kernel, grid_over(shape.channels), stream, shape, input, gradient, moments, weight_gradient,
                bias_gradient);
}

cudaError_t enqueue_layer_norm_data(const NormShape& shape, const float* input, const float* gradient,
                                    const float* weight, const NormMoments* moments, const NormMeans* means, float* to,
                                    cudaStream_t stream) {
  return launch(data_kernel, grid_over(shape.rows * shape.channels), stream, shape, input, gradient, weight, moments,
                means, to);
}

}  // namespace rubato::kernels::cuda
