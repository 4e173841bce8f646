// What of cuDNN needs no GPU: that the library is found, and is one that has what Rubato calls. The rest is tested on a
// fake (tests/cuda_fake).
#include "kernels/cuda/cudnn.h"

#include <gmock/gmock.h>

namespace rubato::kernels::cuda {
namespace {

TEST(Cudnn, IsOfTheVersionThatTheHeadersAreOf) {
  if (cudnnGetVersion() == 0) GTEST_SKIP() << cudnnGetErrorString(CUDNN_STATUS_NOT_INITIALIZED);
  EXPECT_EQ(cudnnGetVersion() / 10'000, CUDNN_MAJOR);
}

TEST(Cudnn, WithoutAGpuThereIsNoHandle) {
  if (device_count().ok()) GTEST_SKIP() << "there is a GPU";
  cudnnHandle_t handle = nullptr;
  const Status status = check(cudnnCreate(&handle), "cudnnCreate");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().cause, Cause::kDevice);
  EXPECT_THAT(status.error().message, testing::MatchesRegex("cudnnCreate: .*\\(1001\\).*"));
}

}  // namespace
}  // namespace rubato::kernels::cuda
