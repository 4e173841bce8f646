// The CUDA runtime behind Rubato's own words: its errors as Status, its handles as owners. The one
// place where a cudaError_t becomes an Error.
//
// Only the runtime API, never the driver's (-lcuda): a program linked against that does not start on a
// machine without a driver.
//
// Thread-safety: each owner belongs to one thread; the functions may be called from any.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace rubato::kernels::cuda {

// `what` names the call for the message.
inline Status check(cudaError_t error, std::string_view what) {
  if (error == cudaSuccess) return {};
  return Error{Cause::kDevice, fmt::format("{}: {} ({})", what, cudaGetErrorString(error), cudaGetErrorName(error))};
}

// How many devices can be used. Errors: kDevice, where there is no device or no driver.
inline Result<int> device_count() {
  int count = 0;  // left untouched by a failing call
  RUBATO_TRY(check(cudaGetDeviceCount(&count), "cudaGetDeviceCount"));
  if (count == 0) return Error{Cause::kDevice, "no CUDA device"};
  return count;
}

class Stream {
 public:
  static Result<Stream> create() {
    cudaStream_t handle = nullptr;
    RUBATO_TRY(check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"));
    return Stream(handle);
  }
  ~Stream() {
    if (handle_ != nullptr) cudaStreamDestroy(handle_);
  }
  Stream(Stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }

  [[nodiscard]] cudaStream_t get() const { return handle_; }
  // Also reports what earlier work on the stream failed with.
  Status synchronize() const { return check(cudaStreamSynchronize(handle_), "cudaStreamSynchronize"); }

 private:
  explicit Stream(cudaStream_t handle) : handle_(handle) {}
  cudaStream_t handle_ = nullptr;
};

// A run of floats in device memory.
class DeviceFloats {
 public:
  static Result<DeviceFloats> allocate(std::size_t count) {
    void* data = nullptr;
    RUBATO_TRY(check(cudaMalloc(&data, count * sizeof(float)), "cudaMalloc"));
    return DeviceFloats(static_cast<float*>(data), count);
  }
  ~DeviceFloats() {
    if (data_ != nullptr) cudaFree(data_);
  }
  DeviceFloats(DeviceFloats&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceFloats& operator=(DeviceFloats&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  [[nodiscard]] std::span<float> span() const { return {data_, size_}; }

 private:
  DeviceFloats(float* data, std::size_t size) : data_(data), size_(size) {}
  float* data_ = nullptr;
  std::size_t size_ = 0;
};

// Asynchronous where the host's memory is pinned; either side may be the device's.
inline Status copy(std::span<float> to, std::span<const float> from, const Stream& stream) {
  RUBATO_CHECK(to.size() == from.size(), "{} floats into {}", from.size(), to.size());
  return check(cudaMemcpyAsync(to.data(), from.data(), from.size_bytes(), cudaMemcpyDefault, stream.get()),
               "cudaMemcpyAsync");
}

}  // namespace rubato::kernels::cuda
