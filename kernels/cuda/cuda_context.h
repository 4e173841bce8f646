// What the operations of one CUDA device share: its stream, its cuBLASLt and its cuDNN.
//
// There is one stream, on which everything is enqueued in the order of the calls, and every copy to or from the host is
// waited for. So nothing overlaps: it is right first (docs/decisions/one-stream-first.md says what comes instead).
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <memory>
#include <span>

#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cudnn.h"

namespace rubato::kernels::cuda {

struct CudaContext {
  int ordinal = 0;
  bool tf32 = false;  // may products of convolutions and dense layers round their factors so?
  Stream stream;
  LtHandle lt;
  std::unique_ptr<CudnnHandle> cudnn = std::make_unique<CudnnHandle>();

  [[nodiscard]] Result<cudnnHandle_t> cudnn_handle() const { return cudnn->on(stream); }
  template <typename T>
  [[nodiscard]] Status upload(std::span<const T> host, T* device) const {
    return copy_and_wait<T>({device, host.size()}, host, stream);
  }
  template <typename T>
  [[nodiscard]] Status download(const T* device, std::span<T> host) const {
    return copy_and_wait<T>(host, {device, host.size()}, stream);
  }
};

}  // namespace rubato::kernels::cuda
