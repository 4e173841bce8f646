// What the operations of one CUDA device share: its streams, its cuBLASLt and its cuDNN.
//
// Kernels are all on one stream, in the order of the calls. What a step copies from and to pinned memory of the host is
// on two others, beside them (kernels/cuda/copy_streams.h); what is not pinned is copied on the stream of the kernels,
// and waited for.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <memory>
#include <span>

#include "kernels/backend.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/copy_streams.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cudnn.h"

namespace rubato::kernels::cuda {

struct CudaContext {
  int ordinal = 0;
  Precision precision = Precision::kFloat32;  // of what convolutions, dense layers and attention multiply
  Stream stream;
  LtHandle lt;
  std::unique_ptr<CopyStreams> copies;
  std::unique_ptr<CudnnHandle> cudnn = std::make_unique<CudnnHandle>();
  std::unique_ptr<AttentionPlans> attention_plans = std::make_unique<AttentionPlans>();  // of that handle

  [[nodiscard]] Result<cudnnHandle_t> cudnn_handle() const { return cudnn->on(stream); }

  // Waited for.
  template <typename T>
  [[nodiscard]] Status upload(std::span<const T> host, T* device) const {
    return copy_and_wait<T>({device, host.size()}, host, stream);
  }
  template <typename T>
  [[nodiscard]] Status download(const T* device, std::span<T> host) const {
    return copy_and_wait<T>(host, {device, host.size()}, stream);
  }

  // Beside the kernels, if the host's memory is pinned; it stays as it is until the step is over.
  template <typename T>
  [[nodiscard]] Status bring(std::span<const T> host, T* device) const {
    if (!copies->is_pinned(std::as_bytes(host))) return upload(host, device);
    return bring_pinned(host, device);
  }
  // It is there once a mark behind this has passed.
  template <typename T>
  [[nodiscard]] Status send(const T* device, std::span<T> host) const {
    if (!copies->is_pinned(std::as_bytes(host))) return download(device, host);
    return send_pinned(device, host);
  }
  // Of PinnedArrays.
  template <typename T>
  [[nodiscard]] Status bring_pinned(std::span<const T> host, T* device) const {
    return copies->bring(std::as_bytes(host), std::as_writable_bytes(std::span(device, host.size())), stream);
  }
  template <typename T>
  [[nodiscard]] Status send_pinned(const T* device, std::span<T> host) const {
    return copies->send(std::as_bytes(std::span(device, host.size())), std::as_writable_bytes(host), stream);
  }
};

}  // namespace rubato::kernels::cuda
