#include "kernels/activation_math.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pointwise.h"

namespace rubato::kernels::cuda {
namespace {

__global__ void activation_kernel(Activation activation, const float* from, float* to, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) to[i] = activate(activation, from[i]);
}

__global__ void activation_gradient_kernel(Activation activation, const float* at, const float* gradient, float* to,
                                           std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride())
    to[i] = activation_gradient(activation, gradient[i], at[i]);
}

__global__ void bias_kernel(const float* bias, float* values, std::size_t columns, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) values[i] += bias[i % columns];
}

__global__ void add_kernel(Activation activation, const float* a, const float* b, float* to, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) to[i] = activate(activation, a[i] + b[i]);
}

}  // namespace

cudaError_t enqueue_activation(Activation activation, const float* from, float* to, std::size_t count,
                               cudaStream_t stream) {
  return launch(activation_kernel, grid_over(count), stream, activation, from, to, count);
}

cudaError_t enqueue_activation_gradient(Activation activation, const float* at, const float* gradient, float* to,
                                        std::size_t count, cudaStream_t stream) {
  return launch(activation_gradient_kernel, grid_over(count), stream, activation, at, gradient, to, count);
}

cudaError_t enqueue_bias(const float* bias, float* values, std::size_t columns, std::size_t count,
                         cudaStream_t stream) {
  return launch(bias_kernel, grid_over(count), stream, bias, values, columns, count);
}

cudaError_t enqueue_add(Activation activation, const float* a, const float* b, float* to, std::size_t count,
                        cudaStream_t stream) {
  return launch(add_kernel, grid_over(count), stream, activation, a, b, to, count);
}

}  // namespace rubato::kernels::cuda
