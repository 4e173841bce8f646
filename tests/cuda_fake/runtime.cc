// The CUDA runtime's functions. Whatever is enqueued is done when its stream is waited for.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "tests/cuda_fake/machine.h"

using rubato::cuda_fake::HostRange;
using rubato::cuda_fake::machine;

extern "C" {

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    default:
      return "cudaErrorUnknown";
  }
}
const char* cudaGetErrorString(cudaError_t) { return "an error of the fake's"; }

cudaError_t cudaGetDeviceCount(int* count) {
  if (machine().fails("cudaGetDeviceCount")) return cudaErrorUnknown;
  if (machine().device_count == 0) return cudaErrorNoDevice;
  *count = machine().device_count;
  return cudaSuccess;
}

// Not one that can fail: nobody looks at what it says when a step begins (CudaDevice::enter).
cudaError_t cudaSetDevice(int device) { return device < machine().device_count ? cudaSuccess : cudaErrorNoDevice; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int /*device*/) {
  if (machine().fails("cudaGetDeviceProperties")) return cudaErrorUnknown;
  std::snprintf(properties->name, sizeof properties->name, "fake");
  properties->major = machine().capability / 10;
  properties->minor = machine().capability % 10;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (machine().fails("cudaRuntimeGetVersion")) return cudaErrorUnknown;
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  if (machine().fails("cudaStreamCreateWithFlags")) return cudaErrorUnknown;
  *stream = machine().create_stream();
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  machine().destroy_stream(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (machine().fails("cudaStreamSynchronize")) {
    machine().give_up();
    return cudaErrorUnknown;
  }
  if (!machine().is_stream(stream, "cudaStreamSynchronize")) return cudaErrorInvalidValue;
  if (machine().breaks_capture("cudaStreamSynchronize")) return cudaErrorStreamCaptureUnsupported;
  machine().wait_for(stream);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (machine().fails("cudaMalloc")) return cudaErrorMemoryAllocation;
  if (machine().breaks_capture("cudaMalloc")) return cudaErrorStreamCaptureUnsupported;
  *data = machine().allocate(bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  machine().release(data);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  constexpr const char* kName = "cudaMemcpyAsync";
  if (machine().fails(kName)) return cudaErrorUnknown;
  if (kind != cudaMemcpyDefault || !machine().is_stream(stream, kName)) return cudaErrorInvalidValue;
  const bool to_device = machine().is_device(to), from_device = machine().is_device(from);
  if (!to_device && !from_device) machine().fault("cudaMemcpyAsync from the host to the host");
  if (to_device && !machine().covers(to, bytes, kName)) return cudaErrorInvalidValue;
  if (from_device && !machine().covers(from, bytes, kName)) return cudaErrorInvalidValue;
  const auto copy = [=] {
    machine().reads(from, bytes);
    machine().writes(to, bytes);
    std::memcpy(to, from, bytes);
  };
  const void* const host = !from_device ? from : !to_device ? to : nullptr;
  if (host == nullptr) {
    machine().enqueue(stream, copy);
    return cudaSuccess;
  }
  const HostRange range{static_cast<const std::byte*>(host), bytes};
  machine().enqueue(stream, copy, range, machine().is_pinned(host, bytes, kName));
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  constexpr const char* kName = "cudaMemsetAsync";
  if (machine().fails(kName)) return cudaErrorUnknown;
  if (!machine().is_stream(stream, kName) || !machine().covers(to, bytes, kName)) return cudaErrorInvalidValue;
  machine().enqueue(stream, [=] {
    machine().writes(to, bytes);
    std::memset(to, value, bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned /*flags*/) {
  if (machine().fails("cudaHostAlloc")) return cudaErrorMemoryAllocation;
  *data = machine().allocate_pinned(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  machine().release_pinned(data);
  return cudaSuccess;
}
cudaError_t cudaHostRegister(void* data, size_t bytes, unsigned /*flags*/) {
  if (machine().fails("cudaHostRegister")) return cudaErrorMemoryAllocation;
  return machine().pin(data, bytes) ? cudaSuccess : cudaErrorHostMemoryAlreadyRegistered;
}
cudaError_t cudaHostUnregister(void* data) {
  return machine().unpin(data, "cudaHostUnregister") ? cudaSuccess : cudaErrorHostMemoryNotRegistered;
}

}  // extern "C"
