#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/launch.h"

namespace rubato::kernels::cuda {
namespace {

// A thread for each column: neighbours read neighbouring numbers. Of few columns that is few threads; a device may want
// the rows cut into chunks.
__global__ void column_sums_kernel(const float* values, std::size_t rows, std::size_t columns, float* sums) {
  for (std::size_t column = first_index(); column < columns; column += index_stride()) {
    float sum = 0.0f;
    for (std::size_t row = 0; row < rows; ++row) sum += values[row * columns + column];
    sums[column] = sum;
  }
}

}  // namespace

cudaError_t enqueue_column_sums(const float* values, std::size_t rows, std::size_t columns, float* sums,
                                cudaStream_t stream) {
  return launch(column_sums_kernel, grid_over(columns), stream, values, rows, columns, sums);
}

}  // namespace rubato::kernels::cuda
