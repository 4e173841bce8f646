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

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* tensor) {
  RUBATO_FORWARD(cudnnCreateTensorDescriptor, tensor);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) {
  RUBATO_FORWARD(cudnnDestroyTensorDescriptor, tensor);
}
cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int count,
                                         const int shape[], const int steps[]) {
  RUBATO_FORWARD(cudnnSetTensorNdDescriptor, tensor, type, count, shape, steps);
}
cudnnStatus_t cudnnCreateDropoutDescriptor(cudnnDropoutDescriptor_t* dropout) {
  RUBATO_FORWARD(cudnnCreateDropoutDescriptor, dropout);
}
cudnnStatus_t cudnnDestroyDropoutDescriptor(cudnnDropoutDescriptor_t dropout) {
  RUBATO_FORWARD(cudnnDestroyDropoutDescriptor, dropout);
}
cudnnStatus_t cudnnSetDropoutDescriptor(cudnnDropoutDescriptor_t dropout, cudnnHandle_t handle, float rate,
                                        void* states, size_t bytes, unsigned long long seed) {
  RUBATO_FORWARD(cudnnSetDropoutDescriptor, dropout, handle, rate, states, bytes, seed);
}

cudnnStatus_t cudnnCreateRNNDescriptor(cudnnRNNDescriptor_t* layer) { RUBATO_FORWARD(cudnnCreateRNNDescriptor, layer); }
cudnnStatus_t cudnnDestroyRNNDescriptor(cudnnRNNDescriptor_t layer) {
  RUBATO_FORWARD(cudnnDestroyRNNDescriptor, layer);
}
cudnnStatus_t cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t layer, cudnnRNNAlgo_t algorithm, cudnnRNNMode_t cell,
                                       cudnnRNNBiasMode_t biases, cudnnDirectionMode_t directions,
                                       cudnnRNNInputMode_t input, cudnnDataType_t type, cudnnDataType_t precision,
                                       cudnnMathType_t math, int32_t inputs, int32_t units, int32_t projected,
                                       int32_t layers, cudnnDropoutDescriptor_t dropout, uint32_t flags) {
  RUBATO_FORWARD(cudnnSetRNNDescriptor_v8, layer, algorithm, cell, biases, directions, input, type, precision, math,
                 inputs, units, projected, layers, dropout, flags);
}
cudnnStatus_t cudnnCreateRNNDataDescriptor(cudnnRNNDataDescriptor_t* sequence) {
  RUBATO_FORWARD(cudnnCreateRNNDataDescriptor, sequence);
}
cudnnStatus_t cudnnDestroyRNNDataDescriptor(cudnnRNNDataDescriptor_t sequence) {
  RUBATO_FORWARD(cudnnDestroyRNNDataDescriptor, sequence);
}
cudnnStatus_t cudnnSetRNNDataDescriptor(cudnnRNNDataDescriptor_t sequence, cudnnDataType_t type,
                                        cudnnRNNDataLayout_t layout, int positions, int samples, int width,
                                        const int lengths[], void* fill) {
  RUBATO_FORWARD(cudnnSetRNNDataDescriptor, sequence, type, layout, positions, samples, width, lengths, fill);
}
cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t handle, cudnnRNNDescriptor_t layer, size_t* bytes) {
  RUBATO_FORWARD(cudnnGetRNNWeightSpaceSize, handle, layer, bytes);
}
cudnnStatus_t cudnnGetRNNTempSpaceSizes(cudnnHandle_t handle, cudnnRNNDescriptor_t layer, cudnnForwardMode_t mode,
                                        cudnnRNNDataDescriptor_t x, size_t* work, size_t* reserve) {
  RUBATO_FORWARD(cudnnGetRNNTempSpaceSizes, handle, layer, mode, x, work, reserve);
}
cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t handle, cudnnRNNDescriptor_t layer, int32_t pseudo_layer,
                                      size_t bytes, const void* weights, int32_t part, cudnnTensorDescriptor_t matrix,
                                      void** matrix_at, cudnnTensorDescriptor_t bias, void** bias_at) {
  RUBATO_FORWARD(cudnnGetRNNWeightParams, handle, layer, pseudo_layer, bytes, weights, part, matrix, matrix_at, bias,
                 bias_at);
}
cudnnStatus_t cudnnRNNForward(cudnnHandle_t handle, cudnnRNNDescriptor_t layer, cudnnForwardMode_t mode,
                              const int32_t lengths[], cudnnRNNDataDescriptor_t x_desc, const void* x,
                              cudnnRNNDataDescriptor_t y_desc, void* y, cudnnTensorDescriptor_t h_desc, const void* hx,
                              void* hy, cudnnTensorDescriptor_t c_desc, const void* cx, void* cy, size_t weight_bytes,
                              const void* weights, size_t work_bytes, void* work, size_t reserve_bytes, void* reserve) {
  RUBATO_FORWARD(cudnnRNNForward, handle, layer, mode, lengths, x_desc, x, y_desc, y, h_desc, hx, hy, c_desc, cx, cy,
                 weight_bytes, weights, work_bytes, work, reserve_bytes, reserve);
}
cudnnStatus_t cudnnRNNBackwardData_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t layer, const int32_t lengths[],
                                      cudnnRNNDataDescriptor_t y_desc, const void* y, const void* dy,
                                      cudnnRNNDataDescriptor_t x_desc, void* dx, cudnnTensorDescriptor_t h_desc,
                                      const void* hx, const void* dhy, void* dhx, cudnnTensorDescriptor_t c_desc,
                                      const void* cx, const void* dcy, void* dcx, size_t weight_bytes,
                                      const void* weights, size_t work_bytes, void* work, size_t reserve_bytes,
                                      void* reserve) {
  RUBATO_FORWARD(cudnnRNNBackwardData_v8, handle, layer, lengths, y_desc, y, dy, x_desc, dx, h_desc, hx, dhy, dhx,
                 c_desc, cx, dcy, dcx, weight_bytes, weights, work_bytes, work, reserve_bytes, reserve);
}
cudnnStatus_t cudnnRNNBackwardWeights_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t layer, cudnnWgradMode_t mode,
                                         const int32_t lengths[], cudnnRNNDataDescriptor_t x_desc, const void* x,
                                         cudnnTensorDescriptor_t h_desc, const void* hx,
                                         cudnnRNNDataDescriptor_t y_desc, const void* y, size_t weight_bytes,
                                         void* gradient, size_t work_bytes, void* work, size_t reserve_bytes,
                                         void* reserve) {
  RUBATO_FORWARD(cudnnRNNBackwardWeights_v8, handle, layer, mode, lengths, x_desc, x, h_desc, hx, y_desc, y,
                 weight_bytes, gradient, work_bytes, work, reserve_bytes, reserve);
}

}  // extern "C"
