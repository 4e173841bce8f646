// Sums and maxima over a block of threads, in a fixed order: a tree over the threads' numbers. For kernels alone.
//
// Every thread of the block has to call them. `room`: kThreads elements of shared memory, free again when they return.
#pragma once

#include "kernels/cuda/launch.h"

namespace rubato::kernels::cuda {

// `fold(a, b)` of all threads' values, for all of them.
template <typename T, typename Fold>
__device__ T block_fold(T value, T* room, const Fold& fold) {
  room[threadIdx.x] = value;
  __syncthreads();
  for (unsigned width = kThreads / 2; width > 0; width /= 2) {
    if (threadIdx.x < width) room[threadIdx.x] = fold(room[threadIdx.x], room[threadIdx.x + width]);
    __syncthreads();
  }
  const T result = room[0];
  __syncthreads();  // before anybody writes there again
  return result;
}

template <typename T>
__device__ T block_sum(T value, T* room) {
  return block_fold(value, room, [](T a, T b) { return a + b; });
}

}  // namespace rubato::kernels::cuda
