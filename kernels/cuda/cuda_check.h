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
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace rubato::kernels::cuda {

// `what` names the call, the shape of what it was about, and its stream; it is put together for an error only.
template <typename... Arguments>
Status check(cudaError_t error, fmt::format_string<Arguments...> what, Arguments&&... arguments) {
  if (error == cudaSuccess) return {};
  return Error{Cause::kDevice,
               fmt::format("{}: {} ({}, {})", fmt::format(what, std::forward<Arguments>(arguments)...),
                           cudaGetErrorString(error), cudaGetErrorName(error), static_cast<int>(error))};
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
  // The name is for errors; a literal.
  static Result<Stream> create(const char* name = "compute") {
    cudaStream_t handle = nullptr;
    RUBATO_TRY(check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking),
                     "cudaStreamCreateWithFlags of stream {}", name));
    return Stream(handle, name);
  }
  ~Stream() {
    if (handle_ != nullptr) cudaStreamDestroy(handle_);
  }
  Stream(Stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)), name_(other.name_) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(name_, other.name_);
    return *this;
  }

  [[nodiscard]] cudaStream_t get() const { return handle_; }
  [[nodiscard]] std::string_view name() const { return name_; }
  // Also reports what earlier work on the stream failed with.
  [[nodiscard]] Status synchronize() const {
    return check(cudaStreamSynchronize(handle_), "cudaStreamSynchronize of stream {}, or what was enqueued before it",
                 name_);
  }

 private:
  Stream(cudaStream_t handle, const char* name) : handle_(handle), name_(name) {}
  cudaStream_t handle_ = nullptr;
  const char* name_ = "";
};

// A moment in what a stream does. Recorded anew it stands for another one; who waited for the one before has that.
class Event {
 public:
  static Result<Event> create() {
    cudaEvent_t handle = nullptr;
    RUBATO_TRY(check(cudaEventCreateWithFlags(&handle, cudaEventDisableTiming), "cudaEventCreateWithFlags"));
    return Event(handle);
  }
  ~Event() {
    if (handle_ != nullptr) cudaEventDestroy(handle_);
  }
  Event(Event&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }

  // Behind all that the stream was given so far.
  [[nodiscard]] Status record(const Stream& stream) const {
    return check(cudaEventRecord(handle_, stream.get()), "cudaEventRecord on stream {}", stream.name());
  }
  // The same where what the stream is given is recorded, for each time that it is replayed.
  [[nodiscard]] Status record_each_time(const Stream& stream) const {
    return check(cudaEventRecordWithFlags(handle_, stream.get(), cudaEventRecordExternal),
                 "cudaEventRecordWithFlags on stream {}", stream.name());
  }
  // What the stream is given from now on waits; the host does not.
  [[nodiscard]] Status hold(const Stream& stream) const {
    return check(cudaStreamWaitEvent(stream.get(), handle_, 0), "cudaStreamWaitEvent on stream {}", stream.name());
  }
  // The host waits. Also reports what earlier work failed with.
  [[nodiscard]] Status synchronize() const {
    return check(cudaEventSynchronize(handle_), "cudaEventSynchronize, or what was enqueued before it");
  }
  [[nodiscard]] Result<bool> has_passed() const {
    const cudaError_t error = cudaEventQuery(handle_);
    if (error == cudaErrorNotReady) return false;
    RUBATO_TRY(check(error, "cudaEventQuery, or what was enqueued before it"));
    return true;
  }

 private:
  explicit Event(cudaEvent_t handle) : handle_(handle) {}
  cudaEvent_t handle_ = nullptr;
};

// A run of numbers in pinned memory of the host, with whatever was there before.
template <typename T>
class PinnedArray {
 public:
  PinnedArray() = default;
  static Result<PinnedArray> allocate(std::size_t count) {
    PinnedArray array;
    if (count == 0) return array;
    void* data = nullptr;
    RUBATO_TRY(check(cudaHostAlloc(&data, count * sizeof(T), cudaHostAllocDefault), "cudaHostAlloc of {} bytes",
                     count * sizeof(T)));
    array.data_.reset(static_cast<T*>(data));
    array.size_ = count;
    return array;
  }

  [[nodiscard]] std::span<T> span() const { return {data_.get(), size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(T* data) const { cudaFreeHost(data); }
  };
  std::unique_ptr<T[], Free> data_;
  std::size_t size_ = 0;
};

// A run of numbers in device memory, with whatever was there before.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  static Result<DeviceArray> allocate(std::size_t count) {
    if (count == 0) return DeviceArray();
    void* data = nullptr;
    RUBATO_TRY(check(cudaMalloc(&data, count * sizeof(T)), "cudaMalloc of {} bytes", count * sizeof(T)));
    return DeviceArray(static_cast<T*>(data), count);
  }
  ~DeviceArray() {
    if (data_ != nullptr) cudaFree(data_);
  }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<T> span() const { return {data_, size_}; }

 private:
  DeviceArray(T* data, std::size_t size) : data_(data), size_(size) {}
  T* data_ = nullptr;
  std::size_t size_ = 0;
};
using DeviceFloats = DeviceArray<float>;

// Either side may be the device's. What lies on the host must live until the stream has come by.
template <typename T>
Status enqueue_copy(std::span<T> to, std::span<const T> from, const Stream& stream) {
  RUBATO_CHECK(to.size() == from.size(), "{} numbers into {}", from.size(), to.size());
  if (to.empty()) return {};
  return check(cudaMemcpyAsync(to.data(), from.data(), from.size_bytes(), cudaMemcpyDefault, stream.get()),
               "cudaMemcpyAsync of {} bytes on stream {}", from.size_bytes(), stream.name());
}
inline Status enqueue_copy(std::span<float> to, std::span<const float> from, const Stream& stream) {
  return enqueue_copy<float>(to, from, stream);
}

// Waits until it is done, so that the host's side may go or be read: the plain way, without pinned memory. Of several
// copies each is waited for: should the next one fail, none is under way to memory that its owner gives up.
template <typename T>
Status copy_and_wait(std::span<T> to, std::span<const T> from, const Stream& stream) {
  RUBATO_TRY(enqueue_copy<T>(to, from, stream));
  return stream.synchronize();
}

}  // namespace rubato::kernels::cuda
