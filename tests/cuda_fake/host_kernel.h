// Makes a kernel's source plain C++: the compiler is told to include this before it (tests/cuda_fake/CMakeLists.txt).
// Its launch enqueues the kernel on the fake's stream; the threads of a block run one after the other, each as far as
// the next barrier. Blocks run one after the other, so what they share may be static.
//
// Thread-safety: none.
#pragma once

#include <cuda_runtime_api.h>

#include <cmath>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <vector>

#undef __shared__
#define __shared__ static
#define threadIdx (::rubato::cuda_fake::place.thread)
#define blockIdx (::rubato::cuda_fake::place.block)
#define blockDim (::rubato::cuda_fake::place.threads)
#define gridDim (::rubato::cuda_fake::place.blocks)
#define __syncthreads() ::rubato::cuda_fake::barrier()

namespace rubato::cuda_fake {

// Of the thread that runs.
struct Place {
  dim3 thread, block, threads, blocks;
};
inline Place place;

void barrier();

// `pointers`: arguments that have to be memory of the device, or null.
cudaError_t enqueue_kernel(std::size_t blocks, unsigned threads, cudaStream_t stream,
                           const std::vector<const void*>& pointers, std::function<void()> thread);

template <typename T>
void note_pointer(const T& argument, std::vector<const void*>& pointers) {
  if constexpr (std::is_pointer_v<T>) pointers.push_back(argument);
}

// As CUDA has it.
template <typename T>
[[gnu::no_sanitize("thread")]] T atomicMin(T* at, T value) {
  const T before = *at;
  if (value < before) *at = value;
  return before;
}

}  // namespace rubato::cuda_fake

namespace rubato::kernels::cuda {

using cuda_fake::atomicMin;

// The launch of kernels/cuda/launch.h.
template <typename Grid, typename... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), const Grid& grid, cudaStream_t stream,
                   std::type_identity_t<Parameters>... arguments) {
  if (grid.blocks == 0) return cudaSuccess;
  std::vector<const void*> pointers;
  (cuda_fake::note_pointer(arguments, pointers), ...);
  return cuda_fake::enqueue_kernel(grid.blocks, grid.threads, stream, pointers, [=] { kernel(arguments...); });
}

}  // namespace rubato::kernels::cuda
