// The kernels of layer normalization, as functions that enqueue them. The algorithm is kernels/cpu/layer_norm.cc's.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace rubato::kernels::cuda {

// Of one position: what is normalized is (x - shift) - rest, times scale = 1 / sqrt(variance + epsilon).
struct NormMoments {
  float shift, rest, scale;
};
// Over its channels, of g = weight * output's gradient: the means of g, and of g times the normalized.
struct NormMeans {
  float gradient, product;
};

struct NormShape {
  std::size_t rows = 0, channels = 0;
  float epsilon = 0.0f;
};

// `moments`: where they are kept, one a row, or null.
cudaError_t enqueue_layer_norm(const NormShape& shape, const float* from, const float* weight, const float* bias,
                               float* to, NormMoments* moments, cudaStream_t stream);
cudaError_t enqueue_layer_norm_means(const NormShape& shape, const float* input, const float* gradient,
                                     const float* weight, const NormMoments* moments, NormMeans* means,
                                     cudaStream_t stream);
// Sums over rows, in their order.
cudaError_t enqueue_layer_norm_weights(const NormShape& shape, const float* input, const float* gradient,
                                       const NormMoments* moments, float* weight_gradient, float* bias_gradient,
                                       cudaStream_t stream);
cudaError_t enqueue_layer_norm_data(const NormShape& shape, const float* input, const float* gradient,
                                    const float* weight, const NormMoments* moments, const NormMeans* means, float* to,
                                    cudaStream_t stream);

}  // namespace rubato::kernels::cuda
