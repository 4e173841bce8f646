// The fake itself: what is wrong on purpose is noticed.
#include "tests/cuda_fake/fake.h"

#include <gmock/gmock.h>

#include <cstring>
#include <vector>

#include "kernels/cuda/convolution_plan.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/update_rules.h"
#include "tests/cuda_fake/host_kernel.h"

namespace rubato::cuda_fake {
namespace {

using kernels::cuda::Attribute;
using kernels::cuda::ConvolutionCall;
using kernels::cuda::ConvolutionPlan;
using kernels::cuda::CudnnDescriptor;
using kernels::cuda::DeviceArray;
using kernels::cuda::DeviceFloats;
using kernels::cuda::enqueue_copy;
using kernels::cuda::make_descriptor;
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
  return {0, kernels::Precision::kFloat32, Stream::create().value(), kernels::cuda::LtHandle::create().value(),
          kernels::cuda::CopyStreams::create().value()};
}

// Whether cuBLASLt has an algorithm for a product of 2 x 2 matrices of these types.
bool has_algorithm(cudaDataType_t a, cudaDataType_t b, cudaDataType_t d, cublasComputeType_t compute) {
  const auto handle = kernels::cuda::LtHandle::create().value();
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatrixLayout_t layouts[3] = {};
  cublasLtMatmulDescCreate(&product, compute, CUDA_R_32F);
  cublasLtMatmulPreferenceCreate(&preference);
  const cudaDataType_t types[] = {a, b, d};
  for (std::size_t i = 0; i < 3; ++i) cublasLtMatrixLayoutCreate(&layouts[i], types[i], 2, 2, 2);
  cublasLtMatmulHeuristicResult_t best{};
  int count = 0;
  cublasLtMatmulAlgoGetHeuristic(handle.get(), product, layouts[0], layouts[1], layouts[2], layouts[2], preference, 1,
                                 &best, &count);
  for (const auto layout : layouts) cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulPreferenceDestroy(preference);
  cublasLtMatmulDescDestroy(product);
  return count == 1;
}

// As cuBLASLt has it: both factors are of one type, what they come to is float32, and TF32 is made of float32.
TEST_F(CudaFake, TypesOfAProductHaveToFit) {
  constexpr auto kFloat = CUDA_R_32F, kBfloat = CUDA_R_16BF;
  EXPECT_TRUE(has_algorithm(kFloat, kFloat, kFloat, CUBLAS_COMPUTE_32F));
  EXPECT_TRUE(has_algorithm(kBfloat, kBfloat, kFloat, CUBLAS_COMPUTE_32F));
  EXPECT_TRUE(has_algorithm(kFloat, kFloat, kFloat, CUBLAS_COMPUTE_32F_FAST_TF32));
  EXPECT_FALSE(has_algorithm(kBfloat, kBfloat, kFloat, CUBLAS_COMPUTE_32F_FAST_TF32));
  EXPECT_FALSE(has_algorithm(kBfloat, kFloat, kFloat, CUBLAS_COMPUTE_32F));
  EXPECT_FALSE(has_algorithm(kFloat, kBfloat, kFloat, CUBLAS_COMPUTE_32F));
}

CudnnDescriptor tensor_of_one(std::int64_t id, cudnnDataType_t type) {
  const std::vector<std::int64_t> ones(4, 1);
  return make_descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "a tensor", Attribute{CUDNN_ATTR_TENSOR_DATA_TYPE, type},
                         Attribute{CUDNN_ATTR_TENSOR_DIMENSIONS, ones}, Attribute{CUDNN_ATTR_TENSOR_STRIDES, ones},
                         Attribute{CUDNN_ATTR_TENSOR_UNIQUE_ID, id},
                         Attribute{CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16}})
      .value();
}

// Of 1 x 1, stride 1, no padding.
CudnnDescriptor plain_convolution() {
  const std::vector<std::int64_t> none(2, 0), ones(2, 1);
  return make_descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "a convolution",
                         Attribute{CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2}},
                         Attribute{CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT},
                         Attribute{CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION},
                         Attribute{CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, none},
                         Attribute{CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, none},
                         Attribute{CUDNN_ATTR_CONVOLUTION_DILATIONS, ones},
                         Attribute{CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, ones})
      .value();
}

// Whether the first engine of those that are offered makes a plan for a convolution of tensors of these types.
bool has_plan(cudnnHandle_t handle, cudnnDataType_t x_type, cudnnDataType_t w_type, cudnnDataType_t y_type) {
  const auto x = tensor_of_one(1, x_type), w = tensor_of_one(2, w_type), y = tensor_of_one(3, y_type);
  const auto convolution = plain_convolution();
  const auto operation = make_descriptor(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, "an operation",
                                         Attribute{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x},
                                         Attribute{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w},
                                         Attribute{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y},
                                         Attribute{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution},
                                         Attribute{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0f},
                                         Attribute{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0f})
                             .value();
  const auto graph = make_descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "a graph",
                                     Attribute{CUDNN_ATTR_OPERATIONGRAPH_OPS, operation},
                                     Attribute{CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle})
                         .value();
  const auto heuristics = make_descriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics",
                                          Attribute{CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph},
                                          Attribute{CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_A})
                              .value();
  const auto configs =
      heuristics
          .descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "an engine's configuration")
          .value();
  auto plan = CudnnDescriptor::create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "a plan").value();
  EXPECT_TRUE(plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configs.front()).ok());
  EXPECT_TRUE(plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle).ok());
  return plan.finalize_if_supported().value();
}

// As cuDNN 9.19 has engines.
TEST_F(CudaFake, TypesOfAConvolutionHaveToFit) {
  const kernels::cuda::CudaContext context = context_on_fake();
  const cudnnHandle_t handle = context.cudnn_handle().value();
  offer_engines({{.tensor_cores = true}});
  constexpr auto kFloat = CUDNN_DATA_FLOAT, kBfloat = CUDNN_DATA_BFLOAT16;
  EXPECT_TRUE(has_plan(handle, kFloat, kFloat, kFloat));
  EXPECT_TRUE(has_plan(handle, kBfloat, kBfloat, kBfloat));
  EXPECT_FALSE(has_plan(handle, kBfloat, kBfloat, kFloat));
  EXPECT_FALSE(has_plan(handle, kBfloat, kFloat, kFloat));
  EXPECT_FALSE(has_plan(handle, kFloat, kFloat, kBfloat));
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
