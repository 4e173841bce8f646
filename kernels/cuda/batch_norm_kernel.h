// The kernels of batch normalization, as functions that enqueue them. The algorithm is kernels/cpu/batch_norm.cc's.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

struct BatchShape {
  std::size_t rows = 0, channels = 0;  // rows: samples, height and width
  float epsilon = 0.0f;
  Activation activation = Activation::kNone;
};

// Of one channel: what is normalized is (x - shift) - rest, times scale = 1 / sqrt(variance + epsilon).
struct BatchMoments {
  float shift, rest, variance, scale;
};
// Over the rows of a channel, of the output's gradient: its sum, and that of it times the normalized.
struct BatchSums {
  float gradient, product;
};

// Of what is at hand, the variance divided by the number of rows.
cudaError_t enqueue_batch_moments(const BatchShape& shape, const float* input, BatchMoments* moments,
                                  cudaStream_t stream);
// Of running means.
cudaError_t enqueue_running_moments(const BatchShape& shape, const float* mean, const float* variance,
                                    BatchMoments* moments, cudaStream_t stream);
// What running means take from them, times `samples`; the variance times `unbiased`, too. `running`: variances that are
// taken in place of those of the moments; may be null.
cudaError_t enqueue_running_gradients(const BatchShape& shape, const BatchMoments* moments, const float* running,
                                      float samples, float unbiased, float* mean, float* variance, cudaStream_t stream);
// to = activation(normalized * weight + bias + addend); the addend may be null.
cudaError_t enqueue_batch_norm(const BatchShape& shape, const float* input, const BatchMoments* moments,
                               const float* weight, const float* bias, const float* addend, float* to,
                               cudaStream_t stream);
// Also as the gradients of weight and bias.
cudaError_t enqueue_batch_sums(const BatchShape& shape, const float* input, const float* gradient,
                               const BatchMoments* moments, BatchSums* sums, float* weight_gradient,
                               float* bias_gradient, cudaStream_t stream);
// `sums`: null where the moments are constants.
cudaError_t enqueue_batch_norm_data(const BatchShape& shape, const float* input, const float* gradient,
                                    const BatchMoments* moments, const BatchSums* sums, const float* weight, float* to,
                                    cudaStream_t stream);

}  // namespace rubato::kernels::cuda
