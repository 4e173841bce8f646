// Marks a function that the CPU and a CUDA kernel both call, from one source. Compiled by others than nvcc it marks
// nothing.
//
// Thread-safety: a macro.
#pragma once

#ifdef __CUDACC__
#define RUBATO_HOST_DEVICE __host__ __device__
#else
#define RUBATO_HOST_DEVICE
#endif
