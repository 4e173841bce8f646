// The functions of cuDNN that kernels/cuda calls, each of which opens the library when it is first called, as
// kernels/cuda/cublas_lt_loader.cc does: cuDNN and the libraries that it opens in turn are 450 MB, and a network
// without convolutions needs none of it.
//
// Tests link tests/cuda_fake in the place of this.
//
// Thread-safety: as the library's.
#include <cudnn.h>

#include "kernels/cuda/opened_library.h"

namespace {

#define RUBATO_TEXT_OF(number) #number
#define RUBATO_CUDNN_NAME(major) "libcudnn.so." RUBATO_TEXT_OF(major)

void* library() {
  static void* const handle = rubato::kernels::cuda::open_library(
      RUBATO_CUDNN_NAME(CUDNN_MAJOR), RUBATO_CUDA_LIBRARIES "/" RUBATO_CUDNN_NAME(CUDNN_MAJOR));
  return handle;
}

}  // namespace

// Without the library there is no handle, which everything else needs.
#define RUBATO_FORWARD(name, ...) \
  return rubato::kernels::cuda::call_in(library(), CUDNN_STATUS_NOT_INITIALIZED, &name, #name, __VA_ARGS__)

extern "C" {

const char* cudnnGetErrorString(cudnnStatus_t status) {
  return rubato::kernels::cuda::call_in(library(), RUBATO_CUDNN_NAME(CUDNN_MAJOR) " was not found",
                                        &cudnnGetErrorString, "cudnnGetErrorString", status);
}
void cudnnGetLastErrorString(char* message, size_t bytes) {
  auto* const function =
      rubato::kernels::cuda::find_function(&cudnnGetLastErrorString, library(), "cudnnGetLastErrorString");
  if (function != nullptr) return function(message, bytes);
  if (bytes > 0) *message = '\0';
}
size_t cudnnGetVersion() {
  return rubato::kernels::cuda::call_in(library(), size_t{0}, &cudnnGetVersion, "cudnnGetVersion");
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) { RUBATO_FORWARD(cudnnCreate, handle); }
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { RUBATO_FORWARD(cudnnDestroy, handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  RUBATO_FORWARD(cudnnSetStream, handle, stream);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* descriptor) {
  RUBATO_FORWARD(cudnnBackendCreateDescriptor, type, descriptor);
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  RUBATO_FORWARD(cudnnBackendDestroyDescriptor, descriptor);
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t which,
                                       cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  RUBATO_FORWARD(cudnnBackendSetAttribute, descriptor, which, type, count, values);
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t which,
                                       cudnnBackendAttributeType_t type, int64_t most, int64_t* count, void* values) {
  RUBATO_FORWARD(cudnnBackendGetAttribute, descriptor, which, type, most, count, values);
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  RUBATO_FORWARD(cudnnBackendFinalize, descriptor);
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  RUBATO_FORWARD(cudnnBackendExecute, handle, plan, pack);
}

}  // extern "C"
