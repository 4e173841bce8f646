// The seam between g++ and nvcc: the kernels of update_rules.cu, as functions that enqueue them.
// Everything above (checks, errors, the choice of the functor) is compiled by g++, with its warnings.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "kernels/gradient_part.h"
#include "kernels/update_rule.h"

namespace rubato::kernels::cuda {

// Defined for SgdRule, MomentumRule, NesterovRule, AdamRule and DelayedNesterovRule, and each of them Averaged.
template <typename Rule>
cudaError_t enqueue_update(const Rule& rule, const Planes& planes, std::size_t count, cudaStream_t stream);

// Defined for PlainPart, ConstantPart and AdaptivePart.
template <typename Part>
cudaError_t enqueue_part(const Part& part, const PartPlanes& planes, std::size_t count, cudaStream_t stream);

cudaError_t enqueue_sum(float* sum, const float* addend, std::size_t count, cudaStream_t stream);

// Makes *finite 0 if any of them is infinite or no number, and else leaves it alone.
cudaError_t enqueue_finite(const float* values, std::size_t count, int* finite, cudaStream_t stream);

}  // namespace rubato::kernels::cuda
