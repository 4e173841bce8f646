// The gradient of a convolution's bias: for each channel the sum over all pixels of all samples. oneDNN
// 2.6 sums channels-last tensors four numbers at a time into one running sum a channel; that took 6% of
// a training step, and its error grows with every pixel of the batch.
//
// Here each sample is summed alone, several pixels side by side, then samples in their order: fast for
// any number of channels, with short sums, and the same bits for any number of threads.
//
// Thread-safety: pure apart from what it is given to write.
#pragma once

#include <cstddef>

#include "kernels/backend.h"
#include "kernels/op_desc.h"

namespace rubato::kernels {

[[nodiscard]] inline std::size_t column_sums_scratch_bytes(const TensorShape& shape) {
  return static_cast<std::size_t>(shape.samples * shape.channels) * sizeof(float);
}

// sums[c] = the sum of values[..., c], which lie in `layout`; overwrites.
void column_sums(const float* values, const TensorShape& shape, Layout layout, int threads, float* scratch,
                 float* sums);

}  // namespace rubato::kernels
