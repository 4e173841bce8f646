// cuDNN's handle.
#include "tests/cuda_fake/cudnn.h"

#include "tests/cuda_fake/machine.h"

using namespace rubato::cuda_fake;

extern "C" {

const char* cudnnGetErrorString(cudnnStatus_t) {
  return machine().hides_cudnn ? "libcudnn.so was not found" : "a status of the fake's";
}
void cudnnGetLastErrorString(char* message, size_t bytes) {
  if (bytes > 0) *message = '\0';
}
size_t cudnnGetVersion() { return machine().hides_cudnn ? 0 : CUDNN_VERSION; }

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  if (machine().fails("cudnnCreate") || machine().hides_cudnn) return CUDNN_STATUS_NOT_INITIALIZED;
  *handle = reinterpret_cast<cudnnHandle_t>(new Cudnn);
  ++machine().handles;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete reinterpret_cast<Cudnn*>(handle);
  --machine().handles;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  if (machine().fails("cudnnSetStream")) return CUDNN_STATUS_BAD_PARAM;
  if (!machine().is_stream(stream, "cudnnSetStream")) return CUDNN_STATUS_BAD_PARAM;
  reinterpret_cast<Cudnn*>(handle)->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
