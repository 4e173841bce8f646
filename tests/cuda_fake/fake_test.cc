// The fake itself: what is wrong on purpose is noticed.
#include "tests/cuda_fake/fake.h"

#include <gmock/gmock.h>

#include <cstring>

#include "kernels/cuda/convolution_plan.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/update_rules.h"
#include "tests/cuda_fake/host_kernel.h"

namespace rubato::cuda_fake {
namespace {

using kernels::cuda::ConvolutionCall;
using kernels::cuda::ConvolutionPlan;
using kernels::cuda::DeviceArray;
using kernels::cuda::DeviceFloats;
using kernels::cuda::enqueue_copy;
using kernels::cuda::Stream;
using testing::ElementsAre;
using testing::HasSubstr;

class CudaFake : public testing::Test {
 protected:
  Stream stream_ = Stream::create().value();
};

TEST_F(CudaFake, NothingHappensBeforeSomebodyWaits) {
  const std::vector<float> ones(3, 1.0f);
  std::vector<float> back(3, 7.0f);
  const DeviceFloats device = DeviceFloats::allocate(3).value();
  ASSERT_TRUE(enqueue_copy(device.span(), ones, stream_).ok());
  ASSERT_TRUE(enqueue_copy(back, device.span(), stream_).ok());
  EXPECT_THAT(back, testing::Each(7.0f));
  ASSERT_TRUE(stream_.synchronize().ok());
  EXPECT_THAT(back, testing::Each(1.0f));
}

TEST_F(CudaFake, NewMemoryIsNoNumber) {
  const DeviceFloats device = DeviceFloats::allocate(2).value();
  std::vector<float> back(2);
  ASSERT_TRUE(enqueue_copy(back, device.span(), stream_).ok());
  ASSERT_TRUE(stream_.synchronize().ok());
  for (const float value : back) EXPECT_TRUE(std::isnan(value));
}

TEST_F(CudaFake, WhatDoesNotLieInLiveMemoryIsAFault) {
  std::vector<float> host(4);
  const DeviceFloats device = DeviceFloats::allocate(3).value();
  const float* dead = nullptr;
  {
    const DeviceFloats gone = DeviceFloats::allocate(4).value();
    dead = gone.data();
  }
  EXPECT_FALSE(enqueue_copy(std::span(device.data(), 4), host, stream_).ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("16 bytes do not lie in live memory")));
  ASSERT_TRUE(enqueue_copy(host, std::span(host), stream_).ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("from the host to the host")));
  EXPECT_NE(kernels::cuda::enqueue_sum(device.data(), dead, 3, stream_.get()), cudaSuccess);
  EXPECT_NE(kernels::cuda::enqueue_sum(host.data(), device.data(), 3, stream_.get()), cudaSuccess);
  EXPECT_EQ(take_faults().size(), 2u);
  EXPECT_EQ(kernels::cuda::enqueue_sum(device.data(), device.data(), 3, nullptr), cudaErrorInvalidValue);
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("no stream")));
}

TEST_F(CudaFake, WhatIsWrittenBesideMemoryIsAFault) {
  const DeviceFloats to = DeviceFloats::allocate(3).value(), from = DeviceFloats::allocate(4).value();
  ASSERT_EQ(kernels::cuda::enqueue_sum(to.data(), from.data(), 4, stream_.get()), cudaSuccess);
  ASSERT_TRUE(stream_.synchronize().ok());
  EXPECT_THAT(take_faults(), testing::Contains(HasSubstr("beside an allocation of 12 bytes")));
  // Or it would be found again.
  std::memset(to.data() + 3, 0xA5, sizeof(float));
}

TEST_F(CudaFake, WhatIsLeftIsCounted) {
  const std::size_t before = live().all();
  {
    const DeviceFloats device = DeviceFloats::allocate(1).value();
    const auto handle = kernels::cuda::LtHandle::create().value();
    const auto product = kernels::cuda::MatrixProduct::plan(handle, {.rows = 2, .columns = 3, .inner = 4}).value();
    EXPECT_EQ(live().allocations, 1u);
    EXPECT_EQ(live().handles, 1u);
    EXPECT_EQ(live().descriptors, 4u);  // the product and three layouts
  }
  EXPECT_EQ(live().all(), before);
}

TEST_F(CudaFake, CudnnsHandleIsMadeWhenItIsAskedForAndGivenBack) {
  {
    kernels::cuda::CudnnHandle cudnn;
    EXPECT_EQ(live().handles, 0u);
    for (const char* failing : {"cudnnCreate", "cudnnSetStream"}) {
      fail_call(failing == std::string("cudnnCreate") ? 1 : 2);
      const auto none = cudnn.on(stream_);
      ASSERT_FALSE(none.ok());
      EXPECT_THAT(none.error().message, testing::StartsWith(failing));
      EXPECT_EQ(live().handles, 0u);
    }
    const cudnnHandle_t handle = cudnn.on(stream_).value();
    EXPECT_EQ(cudnn.on(stream_).value(), handle);
    EXPECT_EQ(live().handles, 1u);
  }
  EXPECT_EQ(live().handles, 0u);
}

TEST_F(CudaFake, AProductNeedsRoomForItsScratch) {
  const auto handle = kernels::cuda::LtHandle::create().value();
  const auto product = kernels::cuda::MatrixProduct::plan(handle, {.rows = 2, .columns = 3, .inner = 4}).value();
  const DeviceFloats left = DeviceFloats::allocate(8).value(), right = DeviceFloats::allocate(12).value();
  const DeviceFloats result = DeviceFloats::allocate(6).value(), scratch = DeviceFloats::allocate(8).value();
  ASSERT_GT(product.scratch_bytes(), 8 * sizeof(float));
  const Status status = product.run(handle, left.data(), right.data(), result.data(), scratch.data(), stream_);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("cublasLtMatmul of 2 x 3, over 4 on stream compute"));
  EXPECT_EQ(take_faults().size(), 1u);
}

kernels::cuda::CudaContext context_on_fake() {
  return {0, false, Stream::create().value(), kernels::cuda::LtHandle::create().value(),
          kernels::cuda::CopyStreams::create().value()};
}

// A convolution of 2 x 3 x 3 x 4 with 5 of 2 x 2, and memory for all of it.
struct OwnedConvolution {
  explicit OwnedConvolution(std::size_t scratch_bytes)
      : scratch(DeviceArray<std::byte>::allocate(scratch_bytes).value()),
        plan(ConvolutionPlan::choose({.handle = context.cudnn_handle().value()}, {{2, 3, 3, 4}, 5, 2},
                                     ConvolutionCall::kForward)
                 .value()) {}
  Status run(const DeviceFloats& x, const DeviceFloats& w, const DeviceFloats& y) {
    return plan.run(context, {x.data(), w.data(), y.data()}, scratch.data());
  }

  kernels::cuda::CudaContext context = context_on_fake();
  DeviceFloats input = DeviceFloats::allocate(72).value(), weights = DeviceFloats::allocate(80).value(),
               output = DeviceFloats::allocate(40).value();
  DeviceArray<std::byte> scratch;
  ConvolutionPlan plan;
};

TEST_F(CudaFake, AConvolutionNeedsRoomForItsTensorsAndItsScratch) {
  offer_engines({{.scratch_bytes = 100}});
  OwnedConvolution right(100), wrong(99);
  ASSERT_EQ(right.plan.scratch_bytes(), 100u);
  EXPECT_TRUE(right.run(right.input, right.weights, right.output).ok());
  const Status status = wrong.run(wrong.input, wrong.weights, wrong.output);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message,
              HasSubstr("cudnnBackendExecute of convolution forward of 2 x 3 x 3 x 4, 5 of 2 x 2, stride 1, padding 0 "
                        "on stream compute"));
  EXPECT_EQ(take_faults().size(), 1u);
  const DeviceFloats small = DeviceFloats::allocate(39).value();
  EXPECT_FALSE(right.run(right.input, right.weights, small).ok());
  EXPECT_FALSE(right.run(small, right.weights, right.output).ok());
  EXPECT_FALSE(right.run(right.input, small, right.output).ok());
  EXPECT_EQ(take_faults().size(), 3u);
}

TEST_F(CudaFake, WhatAnotherDescriptorRefersToIsNotDestroyed) {
  auto gpu = kernels::cuda::make_descriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "a GPU").value();
  auto heuristics = kernels::cuda::CudnnDescriptor::create(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics").value();
  ASSERT_TRUE(heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, gpu).ok());
  EXPECT_FALSE(heuristics.finalize().ok());  // without a graph
  gpu = {};
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("what another descriptor refers to")));
}

TEST_F(CudaFake, TheCallThatIsToFailDoes) {
  fail_call(2);
  EXPECT_TRUE(DeviceFloats::allocate(1).ok());
  const auto second = DeviceFloats::allocate(5);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message, "cudaMalloc of 20 bytes: an error of the fake's (cudaErrorMemoryAllocation, 2)");
  EXPECT_EQ(failed_call(), "cudaMalloc");
  EXPECT_TRUE(DeviceFloats::allocate(1).ok());
}

// A sum over a block of four threads, by a tree, with its barriers or without the last one.
void block_sum(float* values, bool barrier) {
  const unsigned t = threadIdx.x;
  if (t < 2) values[t] += values[t + 2];
  if (barrier) __syncthreads();
  if (t < 1) values[t] += values[t + 1];
}

void one_sided(float* values) {
  if (threadIdx.x == 1) __syncthreads();
  values[threadIdx.x] = 1.0f;
}

struct Grid {
  std::size_t blocks = 1;
  unsigned threads = 4;
};

TEST_F(CudaFake, AMissingBarrierGivesOtherResults) {
  const DeviceFloats device = DeviceFloats::allocate(4).value();
  const std::vector<float> values = {1, 2, 4, 8};
  for (const bool barrier : {true, false}) {
    std::vector<float> sums;
    for (int run = 0; run < 2; ++run) {
      std::vector<float> back(4);
      ASSERT_TRUE(enqueue_copy(device.span(), values, stream_).ok());
      ASSERT_EQ(kernels::cuda::launch(block_sum, Grid{}, stream_.get(), device.data(), barrier), cudaSuccess);
      ASSERT_TRUE(enqueue_copy(back, device.span(), stream_).ok());
      ASSERT_TRUE(stream_.synchronize().ok());
      sums.push_back(back[0]);
    }
    if (barrier)
      EXPECT_THAT(sums, ElementsAre(15.0f, 15.0f));
    else
      EXPECT_NE(sums[0], sums[1]);
  }
}

TEST_F(CudaFake, ABarrierThatNotAllThreadsComeToIsAFault) {
  const DeviceFloats device = DeviceFloats::allocate(4).value();
  ASSERT_EQ(kernels::cuda::launch(one_sided, Grid{}, stream_.get(), device.data()), cudaSuccess);
  ASSERT_TRUE(stream_.synchronize().ok());
  EXPECT_THAT(take_faults(), testing::Contains(HasSubstr("barrier")));
}

}  // namespace
}  // namespace rubato::cuda_fake
