// Sums over rows, for each column: the gradient of a bias. The order is that of the rows, whatever the device.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace rubato::kernels::cuda {

// sums[column] = the sum of values[row][column].
cudaError_t enqueue_column_sums(const float* values, std::size_t rows, std::size_t columns, float* sums,
                                cudaStream_t stream);

}  // namespace rubato::kernels::cuda
