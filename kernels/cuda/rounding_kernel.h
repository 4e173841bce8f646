// Numbers rounded to bfloat16 and back (base/float16.h), as functions that enqueue the kernels. All pointers are the
// device's.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace rubato::kernels::cuda {

cudaError_t enqueue_round(const float* from, std::uint16_t* to, std::size_t count, cudaStream_t stream);
cudaError_t enqueue_widen(const std::uint16_t* from, float* to, std::size_t count, cudaStream_t stream);

}  // namespace rubato::kernels::cuda
