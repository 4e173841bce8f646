#include "kernels/activation_math.h"
#include "kernels/cuda/batch_norm_kernel.h"
#include "kernels/cuda/block_reduce.h"
#include "kernels/cuda/launch.h"

namespace rubato::kernels::cuda {
namespace {

__device__ float normalized(float x, const BatchMoments& m) { return (x - m.shift - m.rest) * m.scale; }

// A block for each channel, whose threads take every kThreads-th row: neighbours read numbers that lie a row apart. A
// device may want several channels in a block.
__global__ void moments_kernel(BatchShape shape, const float* input, BatchMoments* moments) {
  __shared__ float room[kThreads];
  const float share = 1.0f / static_cast<float>(shape.rows);
  for (std::size_t c = blockIdx.x; c < shape.channels; c += gridDim.x) {
    float sum = 0.0f;
    for (std::size_t row = threadIdx.x; row < shape.rows; row += kThreads) sum += input[row * shape.channels + c];
    const float shift = share * block_sum(sum, room);
    float rest = 0.0f, squares = 0.0f;
    for (std::size_t row = threadIdx.x; row < shape.rows; row += kThreads) {
      const float d = input[row * shape.channels + c] - shift;
      rest += d;
      squares += d * d;
    }
    const float mean = share * block_sum(rest, room);
    const float difference = share * block_sum(squares, room) - mean * mean;
    const float variance = difference < 0.0f ? 0.0f : difference;  // but for roundings; what is no number stays so
    if (threadIdx.x == 0) moments[c] = {shift, mean, variance, 1.0f / sqrtf(variance + shape.epsilon)};
  }
}

__global__ void running_moments_kernel(BatchShape shape, const float* mean, const float* variance,
                                       BatchMoments* moments) {
  for (std::size_t c = first_index(); c < shape.channels; c += index_stride())
    moments[c] = {mean[c], 0.0f, variance[c], 1.0f / sqrtf(variance[c] + shape.epsilon)};
}

__global__ void batch_norm_kernel(BatchShape shape, const float* input, const BatchMoments* moments,
                                  const float* weight, const float* bias, const float* addend, float* to) {
  for (std::size_t i = first_index(); i < shape.rows * shape.channels; i += index_stride()) {
    const std::size_t c = i % shape.channels;
    float value = normalized(input[i], moments[c]) * weight[c] + bias[c];
    if (addend != nullptr) value += addend[i];
    to[i] = activate(shape.activation, value);
  }
}

__global__ void sums_kernel(BatchShape shape, const float* input, const float* gradient, const BatchMoments* moments,
                            BatchSums* sums, float* weight_gradient, float* bias_gradient) {
  __shared__ float room[kThreads];
  for (std::size_t c = blockIdx.x; c < shape.channels; c += gridDim.x) {
    float own_gradient = 0.0f, own_product = 0.0f;
    for (std::size_t row = threadIdx.x; row < shape.rows; row += kThreads) {
      const std::size_t at = row * shape.channels + c;
      own_gradient += gradient[at];
      own_product += gradient[at] * normalized(input[at], moments[c]);
    }
    const float all_gradient = block_sum(own_gradient, room), all_product = block_sum(own_product, room);
    if (threadIdx.x != 0) continue;
    sums[c] = {all_gradient, all_product};
    weight_gradient[c] = all_product;
    bias_gradient[c] = all_gradient;
  }
}

__global__ void data_kernel(BatchShape shape, const float* input, const float* gradient, const BatchMoments* moments,
                            const BatchSums* sums, const float* weight, float* to) {
  const float share = 1.0f / static_cast<float>(shape.rows);
  for (std::size_t i = first_index(); i < shape.rows * shape.channels; i += index_stride()) {
    const std::size_t c = i % shape.channels;
    float g = gradient[i];
    if (sums != nullptr) g -= share * sums[c].gradient + normalized(input[i], moments[c]) * (share * sums[c].product);
    to[i] = weight[c] * moments[c].scale * g;
  }
}

__global__ void running_gradients_kernel(BatchShape shape, const BatchMoments* moments, const float* running,
                                         float samples, float unbiased, float* mean, float* variance) {
  for (std::size_t c = first_index(); c < shape.channels; c += index_stride()) {
    mean[c] = samples * (moments[c].shift + moments[c].rest);
    variance[c] = samples * ((running != nullptr ? running[c] : moments[c].variance) * unbiased);
  }
}

}  // namespace

cudaError_t enqueue_batch_moments(const BatchShape& shape, const float* input, BatchMoments* moments,
                                  cudaStream_t stream) {
  return launch(moments_kernel, grid_of_rows(shape.channels), stream, shape, input, moments);
}

cudaError_t enqueue_running_moments(const BatchShape& shape, const float* mean, const float* variance,
                                    BatchMoments* moments, cudaStream_t stream) {
  return launch(running_moments_kernel, grid_over(shape.channels), stream, shape, mean, variance, moments);
}

cudaError_t enqueue_running_gradients(const BatchShape& shape, const BatchMoments* moments, const float* running,
                                      float samples, float unbiased, float* mean, float* variance,
                                      cudaStream_t stream) {
  return launch(running_gradients_kernel, grid_over(shape.channels), stream, shape, moments, running, samples, unbiased,
                mean, variance);
}

cudaError_t enqueue_batch_norm(const BatchShape& shape, const float* input, const BatchMoments* moments,
                               const float* weight, const float* bias, const float* addend, float* to,
                               cudaStream_t stream) {
  return launch(batch_norm_kernel, grid_over(shape.rows * shape.channels), stream, shape, input, moments, weight, bias,
                addend, to);
}

cudaError_t enqueue_batch_sums(const BatchShape& shape, const float* input, const float* gradient,
                               const BatchMoments* moments, BatchSums* sums, float* weight_gradient,
                               float* bias_gradient, cudaStream_t stream) {
  return launch(sums_kernel, grid_of_rows(shape.channels), stream, shape, input, gradient, moments, sums,
                weight_gradient, bias_gradient);
}

cudaError_t enqueue_batch_norm_data(const BatchShape& shape, const float* input, const float* gradient,
                                    const BatchMoments* moments, const BatchSums* sums, const float* weight, float* to,
                                    cudaStream_t stream) {
  return launch(data_kernel, grid_over(shape.rows * shape.channels), stream, shape, input, gradient, moments, sums,
                weight, to);
}

}  // namespace rubato::kernels::cuda
