// The kernels of layer and group normalization, as functions that enqueue them. The algorithm is that of
// kernels/cpu/layer_norm.cc and kernels/cpu/group_norm.cc.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace rubato::kernels::cuda {

// Of one group of one sample: what is normalized is (x - shift) - rest, times scale = 1 / sqrt(variance + epsilon).
struct NormMoments {
  float shift, rest, scale;
};
// Over its numbers, of g = weight * output's gradient: the means of g, and of g times the normalized.
struct NormMeans {
  float gradient, product;
};

// Groups of neighbouring channels, of each sample over all its pixels. A layer normalization has one group, and each of
// its positions is a sample of one pixel.
struct NormShape {
  std::size_t samples = 0, pixels = 1, channels = 0, groups = 1;
  float epsilon = 0.0f;
};

// `moments`: where they are kept, those of a sample one after the other, or null.
cudaError_t enqueue_norm(const NormShape& shape, const float* from, const float* weight, const float* bias, float* to,
                         NormMoments* moments, cudaStream_t stream);
cudaError_t enqueue_norm_means(const NormShape& shape, const float* input, const float* gradient, const float* weight,
                               const NormMoments* moments, NormMeans* means, cudaStream_t stream);
// Sums over samples and pixels, in their order.
cudaError_t enqueue_norm_weights(const NormShape& shape, const float* input, const float* gradient,
                                 const NormMoments* moments, float* weight_gradient, float* bias_gradient,
                                 cudaStream_t stream);
cudaError_t enqueue_norm_data(const NormShape& shape, const float* input, const float* gradient, const float* weight,
                              const NormMoments* moments, const NormMeans* means, float* to, cudaStream_t stream);

}  // namespace rubato::kernels::cuda
