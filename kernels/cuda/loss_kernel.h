// The loss's kernel, as a function that enqueues it: a loss, a gradient and a prediction for each row of scores.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

struct LossRows {
  LossDesc::Kind kind = LossDesc::Kind::kCrossEntropy;
  std::size_t rows = 0, outputs = 0;
  double smoothing = 0.0;
};

// Device memory; null where there is none of it.
struct LossPlanes {
  const float* scores = nullptr;
  const std::int32_t* labels = nullptr;
  const float* values = nullptr;
  const double* class_weights = nullptr;  // of each output, or, of a single one, of 0 and 1
  const float* shares = nullptr;          // what each row's gradient is multiplied by, once it is a float
  float* gradient = nullptr;
  double* losses = nullptr;  // of each row; 0 without a label
  std::int32_t* predictions = nullptr;
};

cudaError_t enqueue_loss(const LossRows& rows, const LossPlanes& planes, cudaStream_t stream);

}  // namespace rubato::kernels::cuda
