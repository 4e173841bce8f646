#include "kernels/cuda/cublas_lt.h"

#include <fmt/format.h>

namespace rubato::kernels::cuda {
namespace {

// What cuBLASLt may ask for: what NVIDIA recommends for Hopper. It lies in the scratch memory that all operations
// share.
constexpr std::size_t kScratchMax = std::size_t{32} << 20;

template <typename T>
Status set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t which, const T& value) {
  return check(cublasLtMatmulDescSetAttribute(desc, which, static_cast<const void*>(&value), sizeof value),
               "cublasLtMatmulDescSetAttribute of attribute {}", static_cast<int>(which));
}

template <typename T>
Status set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t which, const T& value) {
  return check(cublasLtMatmulPreferenceSetAttribute(preference, which, &value, sizeof value),
               "cublasLtMatmulPreferenceSetAttribute of attribute {}", static_cast<int>(which));
}

template <typename T>
Status set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t which, const T& value) {
  return check(cublasLtMatrixLayoutSetAttribute(layout, which, &value, sizeof value),
               "cublasLtMatrixLayoutSetAttribute of attribute {}", static_cast<int>(which));
}

struct DestroyPreference {
  void operator()(cublasLtMatmulPreference_t preference) const { cublasLtMatmulPreferenceDestroy(preference); }
};
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, DestroyPreference>;

Result<Preference> make_preference(std::uint32_t alignment) {
  cublasLtMatmulPreference_t handle = nullptr;
  RUBATO_TRY(check(cublasLtMatmulPreferenceCreate(&handle), "cublasLtMatmulPreferenceCreate"));
  Preference preference(handle);
  RUBATO_TRY(set(handle, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kScratchMax));
  for (const auto which : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                           CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    RUBATO_TRY(set(handle, which, alignment));
  return preference;
}

}  // namespace

Result<LtHandle> LtHandle::create() {
  cublasLtHandle_t handle = nullptr;
  RUBATO_TRY(check(cublasLtCreate(&handle), "cublasLtCreate"));
  LtHandle owner;
  owner.handle_.reset(handle);
  return owner;
}

// Of a matrix as cuBLASLt sees it: our rows are its columns.
Result<MatrixProduct::Layout> MatrixProduct::make_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns,
                                                         const MatrixSteps& steps, std::int64_t products) {
  cublasLtMatrixLayout_t handle = nullptr;
  RUBATO_TRY(check(cublasLtMatrixLayoutCreate(&handle, type, static_cast<std::uint64_t>(columns),
                                              static_cast<std::uint64_t>(rows), steps.row == 0 ? columns : steps.row),
                   "cublasLtMatrixLayoutCreate of {} x {}", rows, columns));
  Layout layout(handle);
  if (products == 1) return layout;
  RUBATO_TRY(set(handle, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(products)));
  RUBATO_TRY(set(handle, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, steps.matrix));
  return layout;
}

Status MatrixProduct::lay_out(const ProductDesc& desc) {
  const cudaDataType_t type = desc.precision == Precision::kBfloat16 ? CUDA_R_16BF : CUDA_R_32F;
  const auto factor = [&](bool transposed, std::int64_t rows, std::int64_t columns, const MatrixSteps& steps) {
    return transposed ? make_layout(type, columns, rows, steps, desc.products)
                      : make_layout(type, rows, columns, steps, desc.products);
  };
  RUBATO_ASSIGN(left_, factor(desc.left_transposed, desc.rows, desc.inner, desc.left));
  RUBATO_ASSIGN(right_, factor(desc.right_transposed, desc.inner, desc.columns, desc.right));
  RUBATO_ASSIGN(result_, make_layout(CUDA_R_32F, desc.rows, desc.columns, desc.result, desc.products));
  return {};
}

Result<MatrixProduct> MatrixProduct::plan(const LtHandle& handle, const ProductDesc& desc) {
  MatrixProduct product;
  product.adds_bias_ = desc.bias != nullptr;
  product.text_ = fmt::format("{} x {}, over {}", desc.rows, desc.columns, desc.inner);
  if (desc.products > 1) product.text_ += fmt::format(", {} times", desc.products);
  if (desc.precision == Precision::kBfloat16) product.text_ += ", bfloat16";
  RUBATO_TRY(product.describe(desc));
  RUBATO_TRY(product.lay_out(desc));
  RUBATO_TRY(product.choose(handle, desc));
  return product;
}

// The transpose of a product is that of the factors in the other order: the right one is cuBLASLt's A.
Status MatrixProduct::describe(const ProductDesc& desc) {
  cublasLtMatmulDesc_t product = nullptr;
  const bool tf32 = desc.precision == Precision::kTf32;
  const cublasComputeType_t compute = tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  RUBATO_TRY(check(cublasLtMatmulDescCreate(&product, compute, CUDA_R_32F), "cublasLtMatmulDescCreate"));
  product_.reset(product);
  RUBATO_TRY(set(product, CUBLASLT_MATMUL_DESC_TRANSA, desc.right_transposed ? CUBLAS_OP_T : CUBLAS_OP_N));
  RUBATO_TRY(set(product, CUBLASLT_MATMUL_DESC_TRANSB, desc.left_transposed ? CUBLAS_OP_T : CUBLAS_OP_N));
  if (desc.bias == nullptr) return {};
  RUBATO_TRY(
      set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, desc.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS));
  return set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, desc.bias);
}

Status MatrixProduct::choose(const LtHandle& handle, const ProductDesc& desc) {
  RUBATO_ASSIGN(const Preference preference, make_preference(desc.alignment));
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle.get(), product_.get(), right_.get(), left_.get(), result_.get(),
                                     result_.get(), preference.get(), 1, &best, &found);
  found_ = status == CUBLAS_STATUS_SUCCESS && found > 0 && best.state == CUBLAS_STATUS_SUCCESS;
  if (!found_ && desc.bias != nullptr && (status == CUBLAS_STATUS_SUCCESS || status == CUBLAS_STATUS_NOT_SUPPORTED))
    return {};
  RUBATO_TRY(check(status, "cublasLtMatmulAlgoGetHeuristic of {}", text_));
  if (!found_) return Error{Cause::kDevice, fmt::format("cuBLASLt has no algorithm for a product of {}", text_)};
  algorithm_ = best.algo;
  scratch_bytes_ = best.workspaceSize;
  return {};
}

Status MatrixProduct::run(const LtHandle& handle, const void* left, const void* right, float* result, void* scratch,
                          const Stream& stream) const {
  const float one = 1.0f, zero = 0.0f;
  return check(cublasLtMatmul(handle.get(), product_.get(), &one, right, right_.get(), left, left_.get(), &zero, result,
                              result_.get(), result, result_.get(), &algorithm_, scratch, scratch_bytes_, stream.get()),
               "cublasLtMatmul of {} on stream {}", text_, stream.name());
}

}  // namespace rubato::kernels::cuda
