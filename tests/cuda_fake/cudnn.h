// What the parts of the fake's cuDNN share: its handle.
//
// Thread-safety: none.
#pragma once

#include <cudnn.h>

namespace rubato::cuda_fake {

struct Cudnn {
  cudaStream_t stream = nullptr;  // on which whatever is asked of the handle is enqueued
};

inline const Cudnn& cudnn_of(cudnnHandle_t handle) { return *reinterpret_cast<const Cudnn*>(handle); }

}  // namespace rubato::cuda_fake
