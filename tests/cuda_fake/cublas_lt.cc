// cuBLASLt's functions: products of matrices in columns, one or many, summed in double, with a bias and ReLU behind
// them. Factors are both float32 or both bfloat16, what they come to is float32.
#include <cublasLt.h>
#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "tests/cuda_fake/machine.h"
#include "tests/cuda_fake/numbers.h"
#include "tests/cuda_fake/tf32.h"

namespace rubato::cuda_fake {
namespace {

struct Layout {
  std::uint64_t rows = 0, columns = 0;
  std::int64_t stride = 0;
  Type type = Type::kFloat32;
  std::int32_t matrices = 1;
  std::int64_t offset = 0;  // from matrix to matrix

  // From the first number to the last.
  [[nodiscard]] std::size_t bytes() const {
    const auto last =
        static_cast<std::size_t>(offset * (matrices - 1) + stride * static_cast<std::int64_t>(columns - 1));
    return (last + rows) * bytes_of(type);
  }
};

struct Product {
  bool tf32 = false;
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const float* bias = nullptr;
};

struct Preference {
  std::uint64_t scratch_max = 0;
  std::uint32_t alignment = 256;  // the least of them, and cuBLASLt's own
};

// What the heuristic writes into an algorithm, and a product reads there.
struct Algorithm {
  std::uint64_t rows, columns, inner, products, scratch;
  std::uint32_t alignment;
  Type type;  // of the factors
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

const Layout& layout_of(cublasLtMatrixLayout_t handle) { return *reinterpret_cast<const Layout*>(handle); }
const Product& product_of(cublasLtMatmulDesc_t handle) { return *reinterpret_cast<const Product*>(handle); }

template <typename T, typename Handle>
cublasStatus_t create(const char* call, Handle* handle, const T& value) {
  if (machine().fails(call)) return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = reinterpret_cast<Handle>(new T(value));
  ++machine().descriptors;
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T, typename Handle>
cublasStatus_t destroy(Handle handle) {
  delete reinterpret_cast<T*>(handle);
  --machine().descriptors;
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t take(T& to, const void* value, std::size_t bytes) {
  if (bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

// Whether the matrices fit each other, also in their types: there is no bfloat16 that is multiplied as TF32; rows,
// columns and inner of it as cuBLASLt has them.
bool fit(const Product& product, const Layout& a, const Layout& b, const Layout& d, Algorithm& shape) {
  const bool a_flips = product.a == CUBLAS_OP_T, b_flips = product.b == CUBLAS_OP_T;
  shape.rows = a_flips ? a.columns : a.rows;
  shape.inner = a_flips ? a.rows : a.columns;
  shape.columns = b_flips ? b.rows : b.columns;
  shape.products = static_cast<std::uint64_t>(d.matrices);
  shape.type = a.type;
  if (a.type != b.type || d.type != Type::kFloat32 || (product.tf32 && a.type != Type::kFloat32)) return false;
  for (const Layout* layout : {&a, &b, &d})
    if (layout->stride < static_cast<std::int64_t>(layout->rows) || layout->matrices != d.matrices) return false;
  return shape.inner == (b_flips ? b.columns : b.rows) && d.rows == shape.rows && d.columns == shape.columns;
}

struct Operands {
  Numbers a, b, d;

  [[nodiscard]] Operands of(std::uint64_t product, const Layout& a_layout, const Layout& b_layout,
                            const Layout& d_layout) const {
    const auto nth = static_cast<std::int64_t>(product);
    return {a.from(nth * a_layout.offset), b.from(nth * b_layout.offset), d.from(nth * d_layout.offset)};
  }
};

void multiply(const Product& product, const Algorithm& shape, const Operands& at, const Layout& a, const Layout& b,
              const Layout& d) {
  const bool a_flips = product.a == CUBLAS_OP_T, b_flips = product.b == CUBLAS_OP_T;
  const auto factor = [&](float value) { return static_cast<double>(product.tf32 ? to_tf32(value) : value); };
  const auto rows = static_cast<std::int64_t>(shape.rows), columns = static_cast<std::int64_t>(shape.columns),
             inner = static_cast<std::int64_t>(shape.inner);
  for (std::int64_t column = 0; column < columns; ++column)
    for (std::int64_t row = 0; row < rows; ++row) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < inner; ++k) {
        const float left = a_flips ? at.a[k + row * a.stride] : at.a[row + k * a.stride];
        const float right = b_flips ? at.b[column + k * b.stride] : at.b[k + column * b.stride];
        sum += factor(left) * factor(right);
      }
      if (product.epilogue != CUBLASLT_EPILOGUE_DEFAULT) sum += static_cast<double>(product.bias[row]);
      if (product.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS && sum < 0.0) sum = 0.0;
      at.d.set(row + column * d.stride, sum);
    }
}

bool is_aligned(const void* data, std::uint64_t alignment) {
  return reinterpret_cast<std::uintptr_t>(data) % alignment == 0;
}

}  // namespace
}  // namespace rubato::cuda_fake

using namespace rubato::cuda_fake;

extern "C" {

const char* cublasLtGetStatusString(cublasStatus_t) { return "a status of the fake's"; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (machine().fails("cublasLtCreate")) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = reinterpret_cast<cublasLtHandle_t>(new int);
  ++machine().handles;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  --machine().handles;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  const bool tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  if ((compute != CUBLAS_COMPUTE_32F && !tf32) || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  return create("cublasLtMatmulDescCreate", product, Product{.tf32 = tf32});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) { return destroy<Product>(product); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle, cublasLtMatmulDescAttributes_t which,
                                              const void* value, size_t bytes) {
  if (machine().fails("cublasLtMatmulDescSetAttribute")) return CUBLAS_STATUS_INVALID_VALUE;
  auto& product = *reinterpret_cast<Product*>(handle);
  switch (which) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return take(product.a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return take(product.b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return take(product.epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return take(product.bias, value, bytes);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t stride) {
  if (type != CUDA_R_32F && type != CUDA_R_16BF) return CUBLAS_STATUS_NOT_SUPPORTED;
  return create("cublasLtMatrixLayoutCreate", layout,
                Layout{rows, columns, stride, type == CUDA_R_32F ? Type::kFloat32 : Type::kBfloat16});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy<Layout>(layout); }

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle, cublasLtMatrixLayoutAttribute_t which,
                                                const void* value, size_t bytes) {
  if (machine().fails("cublasLtMatrixLayoutSetAttribute")) return CUBLAS_STATUS_INVALID_VALUE;
  auto& layout = *reinterpret_cast<Layout*>(handle);
  switch (which) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return take(layout.matrices, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return take(layout.offset, value, bytes);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return create("cublasLtMatmulPreferenceCreate", preference, Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy<Preference>(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t which, const void* value,
                                                    size_t bytes) {
  if (machine().fails("cublasLtMatmulPreferenceSetAttribute")) return CUBLAS_STATUS_INVALID_VALUE;
  auto& preference = *reinterpret_cast<Preference*>(handle);
  if (which == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return take(preference.scratch_max, value, bytes);
  std::uint32_t alignment = 0;
  const cublasStatus_t status = take(alignment, value, bytes);
  preference.alignment = std::min(preference.alignment, alignment);
  return status;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int,
                                              cublasLtMatmulHeuristicResult_t* result, int* found) {
  if (machine().fails("cublasLtMatmulAlgoGetHeuristic")) return CUBLAS_STATUS_INTERNAL_ERROR;
  *found = 0;
  Algorithm algorithm{};
  if (!fit(product_of(product), layout_of(a), layout_of(b), layout_of(d), algorithm))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (machine().refuses_epilogues && product_of(product).epilogue != CUBLASLT_EPILOGUE_DEFAULT)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto& limits = *reinterpret_cast<const Preference*>(preference);
  algorithm.scratch = std::min<std::uint64_t>(limits.scratch_max, 1024);
  algorithm.alignment = limits.alignment;
  std::memcpy(&result->algo, &algorithm, sizeof algorithm);
  result->workspaceSize = algorithm.scratch;
  result->state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product_handle, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_handle, const void* b, cublasLtMatrixLayout_t b_handle,
                              const void* beta, const void* c, cublasLtMatrixLayout_t, void* d,
                              cublasLtMatrixLayout_t d_handle, const cublasLtMatmulAlgo_t* chosen, void* scratch,
                              size_t scratch_bytes, cudaStream_t stream) {
  constexpr const char* kName = "cublasLtMatmul";
  if (machine().fails(kName)) return CUBLAS_STATUS_EXECUTION_FAILED;
  const Product product = product_of(product_handle);
  const Layout a_layout = layout_of(a_handle), b_layout = layout_of(b_handle), d_layout = layout_of(d_handle);
  Algorithm algorithm{}, shape{};
  std::memcpy(&algorithm, chosen, sizeof algorithm);
  const bool right = fit(product, a_layout, b_layout, d_layout, shape) && shape.rows == algorithm.rows &&
                     shape.columns == algorithm.columns && shape.inner == algorithm.inner &&
                     shape.products == algorithm.products && shape.type == algorithm.type && c == d &&
                     *static_cast<const float*>(alpha) == 1.0f && *static_cast<const float*>(beta) == 0.0f &&
                     scratch_bytes >= algorithm.scratch;
  bool there = machine().is_stream(stream, kName) && machine().covers(a, a_layout.bytes(), kName) &&
               machine().covers(b, b_layout.bytes(), kName) && machine().covers(d, d_layout.bytes(), kName) &&
               machine().covers(scratch, scratch_bytes, kName);
  if (product.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
    there = there && machine().covers(product.bias, shape.rows * sizeof(float), kName);
  for (const void* data : {a, b, static_cast<const void*>(d)})
    if (!is_aligned(data, algorithm.alignment)) there = false;
  if (!right || !there) return CUBLAS_STATUS_INVALID_VALUE;
  const Operands at{{a, a_layout.type}, {b, b_layout.type}, {d, d_layout.type}};
  machine().enqueue(stream, [=] {
    machine().reads(a, a_layout.bytes());
    machine().reads(b, b_layout.bytes());
    if (product.epilogue != CUBLASLT_EPILOGUE_DEFAULT) machine().reads(product.bias, shape.rows * sizeof(float));
    machine().writes(d, d_layout.bytes());
    machine().writes(scratch, scratch_bytes);
    for (std::uint64_t nth = 0; nth < shape.products; ++nth)
      multiply(product, shape, at.of(nth, a_layout, b_layout, d_layout), a_layout, b_layout, d_layout);
    std::memset(scratch, 0xFF, scratch_bytes);
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
