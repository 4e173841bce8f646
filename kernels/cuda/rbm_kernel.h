// The kernels of restricted Boltzmann machines, as functions that enqueue them: what lies between the products of
// kernels/cuda/rbm.cc. Rows are those of samples, `units` numbers each.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/gibbs_draw.h"

namespace rubato::kernels::cuda {

// In place: probabilities, 1 / (1 + exp(-(row + bias))).
cudaError_t enqueue_probabilities(const float* bias, float* rows, std::size_t samples, std::size_t units,
                                  cudaStream_t stream);
// In place: from probabilities to states, by the samples' ids.
cudaError_t enqueue_gibbs_states(const GibbsDraw& draw, const std::uint64_t* ids, float* rows, std::size_t samples,
                                 std::size_t units, cudaStream_t stream);
// to = -from.
cudaError_t enqueue_negative(const float* from, float* to, std::size_t count, cudaStream_t stream);
// Of each unit the sum over the rows, in their order, those before row `plus` with a minus.
cudaError_t enqueue_signed_sums(const float* rows, std::size_t count, std::size_t plus, std::size_t units, float* sums,
                                cudaStream_t stream);

}  // namespace rubato::kernels::cuda
