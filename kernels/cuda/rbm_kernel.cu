#include "kernels/cuda/launch.h"
#include "kernels/cuda/rbm_kernel.h"

namespace rubato::kernels::cuda {
namespace {

__global__ void probability_kernel(const float* bias, float* rows, std::size_t count, std::size_t units) {
  for (std::size_t i = first_index(); i < count; i += index_stride())
    rows[i] = 1.0f / (1.0f + expf(-(rows[i] + bias[i % units])));
}

// A thread for each four units, which share a block of random bits.
__global__ void gibbs_kernel(GibbsDraw draw, const std::uint64_t* ids, float* rows, std::size_t samples,
                             std::size_t units) {
  const std::size_t quads = (units + 3) / 4;
  for (std::size_t i = first_index(); i < samples * quads; i += index_stride()) {
    const std::size_t sample = i / quads, quad = i % quads;
    const PhiloxBlock bits = gibbs_bits(draw, quad, ids[sample]);
    float* const row = rows + sample * units + 4 * quad;
    for (std::size_t word = 0; word < 4 && 4 * quad + word < units; ++word)
      row[word] = gibbs_state(bits[word], row[word]);
  }
}

__global__ void negative_kernel(const float* from, float* to, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) to[i] = -from[i];
}

// A thread for each unit, as kernels/cuda/column_sums.cu.
__global__ void signed_sums_kernel(const float* rows, std::size_t count, std::size_t plus, std::size_t units,
                                   float* sums) {
  for (std::size_t unit = first_index(); unit < units; unit += index_stride()) {
    float sum = 0.0f;
    for (std::size_t row = 0; row < count; ++row) {
      const float value = rows[row * units + unit];
      sum += row < plus ? -value : value;
    }
    sums[unit] = sum;
  }
}

}  // namespace

cudaError_t enqueue_probabilities(const float* bias, float* rows, std::size_t samples, std::size_t units,
                                  cudaStream_t stream) {
  return launch(probability_kernel, grid_over(samples * units), stream, bias, rows, samples * units, units);
}

cudaError_t enqueue_gibbs_states(const GibbsDraw& draw, const std::uint64_t* ids, float* rows, std::size_t samples,
                                 std::size_t units, cudaStream_t stream) {
  return launch(gibbs_kernel, grid_over(samples * ((units + 3) / 4)), stream, draw, ids, rows, samples, units);
}

cudaError_t enqueue_negative(const float* from, float* to, std::size_t count, cudaStream_t stream) {
  return launch(negative_kernel, grid_over(count), stream, from, to, count);
}

cudaError_t enqueue_signed_sums(const float* rows, std::size_t count, std::size_t plus, std::size_t units, float* sums,
                                cudaStream_t stream) {
  return launch(signed_sums_kernel, grid_over(units), stream, rows, count, plus, units, sums);
}

}  // namespace rubato::kernels::cuda
