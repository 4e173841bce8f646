// What of cuBLASLt needs no GPU: that the library is found, has the functions, and takes our descriptions. The rest is
// tested on a fake (tests/cuda_fake).
#include "kernels/cuda/cublas_lt.h"

#include <gmock/gmock.h>

namespace rubato::kernels::cuda {
namespace {

TEST(CublasLt, TakesTheDescriptionsOfAProduct) {
  cublasLtMatmulDesc_t product = nullptr;
  if (cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F) == CUBLAS_STATUS_NOT_INITIALIZED)
    GTEST_SKIP() << cublasLtGetStatusString(CUBLAS_STATUS_NOT_INITIALIZED);
  EXPECT_EQ(cublasLtMatmulDescDestroy(product), CUBLAS_STATUS_SUCCESS);
  const float bias = 0.0f;
  for (const float* at : {static_cast<const float*>(nullptr), &bias}) {
    // Without a handle the heuristic, which is asked last, knows nothing.
    const auto planned = MatrixProduct::plan(
        LtHandle{}, {.rows = 5, .columns = 3, .inner = 7, .right_transposed = true, .bias = at, .relu = at != nullptr});
    ASSERT_FALSE(planned.ok());
    EXPECT_THAT(planned.error().message, testing::StartsWith("cublasLtMatmulAlgoGetHeuristic of 5 x 3, over 7: "));
  }
  const auto many = MatrixProduct::plan(
      LtHandle{}, {.rows = 5, .columns = 3, .inner = 7, .products = 2, .left = {.row = 9, .matrix = 45}});
  ASSERT_FALSE(many.ok());
  EXPECT_THAT(many.error().message, testing::StartsWith("cublasLtMatmulAlgoGetHeuristic of 5 x 3, over 7, 2 times: "));
  for (const auto& [precision, name] : {std::pair{Precision::kTf32, ""}, {Precision::kBfloat16, ", bfloat16"}}) {
    const auto rounded =
        MatrixProduct::plan(LtHandle{}, {.rows = 5, .columns = 3, .inner = 7, .bias = &bias, .precision = precision});
    ASSERT_FALSE(rounded.ok());
    EXPECT_THAT(rounded.error().message,
                testing::StartsWith(std::string("cublasLtMatmulAlgoGetHeuristic of 5 x 3, over 7") + name + ": "));
  }
}

TEST(CublasLt, WithoutAGpuThereIsNoHandle) {
  if (device_count().ok()) GTEST_SKIP() << "there is a GPU";
  const auto handle = LtHandle::create();
  ASSERT_FALSE(handle.ok());
  EXPECT_EQ(handle.error().cause, Cause::kDevice);
  EXPECT_THAT(handle.error().message, testing::StartsWith("cublasLtCreate: "));
}

}  // namespace
}  // namespace rubato::kernels::cuda
