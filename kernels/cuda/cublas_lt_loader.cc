// The functions of cuBLASLt that kernels/cuda/cublas_lt.cc calls, each of which opens the library when it is first
// called. Linked against it every program of ours, also one on the CPU, would need its 540 MB there and take a tenth of
// a second to start; so it is opened by who opens a CUDA device.
//
// Tests link tests/cuda_fake in the place of this.
//
// Thread-safety: as the library's.
#include <cublasLt.h>

#include "kernels/cuda/opened_library.h"

namespace {

void* library() {
  static void* const handle = rubato::kernels::cuda::open_library(
      "libcublasLt.so." RUBATO_CUBLAS_MAJOR, RUBATO_CUDA_LIBRARIES "/libcublasLt.so." RUBATO_CUBLAS_MAJOR);
  return handle;
}

}  // namespace

// Without the library there is no handle, which everything else needs.
#define RUBATO_FORWARD(name, ...) \
  return rubato::kernels::cuda::call_in(library(), CUBLAS_STATUS_NOT_INITIALIZED, &name, #name, __VA_ARGS__)

extern "C" {

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return rubato::kernels::cuda::call_in(library(), "libcublasLt.so." RUBATO_CUBLAS_MAJOR " was not found",
                                        &cublasLtGetStatusString, "cublasLtGetStatusString", status);
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { RUBATO_FORWARD(cublasLtCreate, handle); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { RUBATO_FORWARD(cublasLtDestroy, handle); }

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void* scratch,
                              size_t scratch_bytes, cudaStream_t stream) {
  RUBATO_FORWARD(cublasLtMatmul, handle, product, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout,
                 algorithm, scratch, scratch_bytes, stream);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  RUBATO_FORWARD(cublasLtMatmulAlgoGetHeuristic, handle, product, a, b, c, d, preference, asked, results, found);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t stride) {
  RUBATO_FORWARD(cublasLtMatrixLayoutCreate, layout, type, rows, columns, stride);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  RUBATO_FORWARD(cublasLtMatrixLayoutDestroy, layout);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t which,
                                                const void* value, size_t bytes) {
  RUBATO_FORWARD(cublasLtMatrixLayoutSetAttribute, layout, which, value, bytes);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  RUBATO_FORWARD(cublasLtMatmulDescCreate, product, compute, scale);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  RUBATO_FORWARD(cublasLtMatmulDescDestroy, product);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t which,
                                              const void* value, size_t bytes) {
  RUBATO_FORWARD(cublasLtMatmulDescSetAttribute, product, which, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  RUBATO_FORWARD(cublasLtMatmulPreferenceCreate, preference);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  RUBATO_FORWARD(cublasLtMatmulPreferenceDestroy, preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t which, const void* value,
                                                    size_t bytes) {
  RUBATO_FORWARD(cublasLtMatmulPreferenceSetAttribute, preference, which, value, bytes);
}

}  // extern "C"
