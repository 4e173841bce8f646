// cuBLASLt behind Rubato's own words: its handle, and the product of two matrices, or of many such pairs, as a plan.
// The one place where a cublasStatus_t becomes an Error.
//
// Matrices lie in rows, as everywhere in Rubato; cuBLASLt has columns, so that it is asked for the transpose of
// everything. Results, sums and biases are float32. Factors are float32 and multiplied as they are; with kTf32 they may
// be rounded to it, and with kBfloat16 they are bfloat16.
//
// An algorithm is what cuBLASLt's heuristic takes for the shape, with the least alignment that tensors have here: equal
// shapes have equal algorithms, and equal bits.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/cuda/cuda_check.h"

namespace rubato::kernels::cuda {

template <typename... Arguments>
Status check(cublasStatus_t status, fmt::format_string<Arguments...> what, Arguments&&... arguments) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  return Error{Cause::kDevice, fmt::format("{}: {} ({})", fmt::format(what, std::forward<Arguments>(arguments)...),
                                           cublasLtGetStatusString(status), static_cast<int>(status))};
}

class LtHandle {
 public:
  static Result<LtHandle> create();
  [[nodiscard]] cublasLtHandle_t get() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(cublasLtHandle_t handle) const { cublasLtDestroy(handle); }
  };
  std::unique_ptr<cublasLtContext, Destroy> handle_;
};

// How matrices lie that are no more than rows one behind the other: what is from row to row, and from one product's
// matrix to that of the next.
struct MatrixSteps {
  std::int64_t row = 0;  // 0: as many as a row has
  std::int64_t matrix = 0;
};

// result (rows x columns) = left (rows x inner) * right (inner x columns). A transposed one lies the other way round.
struct ProductDesc {
  std::int64_t rows = 0, columns = 0, inner = 0;
  bool left_transposed = false, right_transposed = false;
  // One of `columns` numbers on the device is added to each row, and ReLU behind it; null: neither.
  const float* bias = nullptr;
  bool relu = false;
  Precision precision = Precision::kFloat32;  // of the factors
  std::int64_t products = 1;                  // of so many pairs, each with a result of its own
  MatrixSteps left = {}, right = {}, result = {};
  std::uint32_t alignment = 128;  // bytes, of every address: model/memory_plan.cc, cudaMalloc
};

class MatrixProduct {
 public:
  MatrixProduct() = default;
  // Errors: kDevice; where cuBLASLt has no algorithm that adds a bias to this shape, has_algorithm() is false.
  static Result<MatrixProduct> plan(const LtHandle& handle, const ProductDesc& desc);

  [[nodiscard]] bool has_algorithm() const { return found_; }
  [[nodiscard]] bool adds_bias() const { return adds_bias_; }
  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  [[nodiscard]] Status run(const LtHandle& handle, const void* left, const void* right, float* result, void* scratch,
                           const Stream& stream) const;

 private:
  struct DestroyProduct {
    void operator()(cublasLtMatmulDesc_t desc) const { cublasLtMatmulDescDestroy(desc); }
  };
  struct DestroyLayout {
    void operator()(cublasLtMatrixLayout_t layout) const { cublasLtMatrixLayoutDestroy(layout); }
  };
  using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, DestroyLayout>;

  static Result<Layout> make_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns,
                                    const MatrixSteps& steps, std::int64_t products);
  [[nodiscard]] Status lay_out(const ProductDesc& desc);
  [[nodiscard]] Status describe(const ProductDesc& desc);
  [[nodiscard]] Status choose(const LtHandle& handle, const ProductDesc& desc);

  std::unique_ptr<cublasLtMatmulDescOpaque_t, DestroyProduct> product_;
  Layout left_, right_, result_;
  cublasLtMatmulAlgo_t algorithm_{};
  std::size_t scratch_bytes_ = 0;
  bool found_ = false, adds_bias_ = false;
  std::string text_;  // "128 x 10, over 784", for errors
};

}  // namespace rubato::kernels::cuda
