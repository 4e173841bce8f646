// Kernels in which every element is by itself, as functions that enqueue them. The seam between g++ and nvcc, as
// kernels/cuda/update_rules.h is. All pointers are the device's; a result may lie where an argument does.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

// to = activation(from).
cudaError_t enqueue_activation(Activation activation, const float* from, float* to, std::size_t count,
                               cudaStream_t stream);
// `at`: as kernels::activation_gradient has it.
cudaError_t enqueue_activation_gradient(Activation activation, const float* at, const float* gradient, float* to,
                                        std::size_t count, cudaStream_t stream);

// values[row][column] += bias[column].
cudaError_t enqueue_bias(const float* bias, float* values, std::size_t columns, std::size_t count, cudaStream_t stream);

// to = activation(a + b).
cudaError_t enqueue_add(Activation activation, const float* a, const float* b, float* to, std::size_t count,
                        cudaStream_t stream);

}  // namespace rubato::kernels::cuda
