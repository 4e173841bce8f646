// How every kernel of ours is launched. Kernels are compiled twice: by nvcc, for devices; and as plain C++, where
// tests/cuda_fake/host_kernel.h comes first, brings a launch of its own and the words of CUDA, and runs them on the
// host. So a kernel takes numbers and pointers, as arguments of its own, by value.
//
// Thread-safety: pure functions; work on one stream is done in order.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace rubato::kernels::cuda {

inline constexpr unsigned kThreads = 256;  // of a block

struct Grid {
  std::size_t blocks = 0;
  unsigned threads = kThreads;
};

// For kernels with a grid-stride loop: a thread for each of `count`, but no more than enough blocks to fill the largest
// device (8 of 256 threads on each of about 150 processors).
inline Grid grid_over(std::size_t count) {
  constexpr std::size_t kBlocksMax = 1200;
  return {std::min((count + kThreads - 1) / kThreads, kBlocksMax)};
}

// For kernels whose blocks take rows, as many of them as there are blocks apart. A grid may not have more.
inline Grid grid_of_rows(std::size_t rows) {
  constexpr std::size_t kBlocksMax = 65'535;
  return {std::min(rows, kBlocksMax)};
}

#ifdef __CUDACC__
template <typename... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), Grid grid, cudaStream_t stream,
                   std::type_identity_t<Parameters>... arguments) {
  if (grid.blocks == 0) return cudaSuccess;  // a grid of no blocks would be an error
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(grid.blocks));
  config.blockDim = dim3(grid.threads);
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}
#endif

__device__ inline std::size_t first_index() { return std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline std::size_t index_stride() { return std::size_t{gridDim.x} * blockDim.x; }

}  // namespace rubato::kernels::cuda
