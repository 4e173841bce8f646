// Which of its two ways of attention the CUDA device takes: cuDNN's fused one, or its own. What either computes is in
// tests/kernels/backend_attention_test.cc.
#include <gmock/gmock.h>

#include <cstddef>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "tests/cuda_fake/fake.h"

namespace rubato::kernels {
namespace {

using testing::HasSubstr;

const AttentionDesc kFits{{2, 3, 1, 48}, 2};

std::vector<std::string> ways_of(Device& device, const AttentionDesc& desc, const PlanHint& hint = {}) {
  const auto op = device.plan(desc, hint);
  if (!op.ok()) return {op.error().message};
  std::vector<std::string> ways;
  for (const Algorithm& algorithm : (*op)->info().algorithms)
    ways.push_back(algorithm.call + ": " + algorithm.implementation);
  return ways;
}

std::unique_ptr<Device> device_for(Precision precision) { return open_device({"cuda", 1, precision}).value(); }

bool is_fused(const AttentionDesc& desc, Precision precision = Precision::kBfloat16) {
  return ways_of(*device_for(precision), desc).front().starts_with("forward: cudnn engine");
}

// Of the engines that there are at first, that is the second: one on tensor cores.
TEST(CudaAttention, IsFusedWhereCudnnHasAnEngine) {
  const auto device = device_for(Precision::kBfloat16);
  EXPECT_THAT(ways_of(*device, kFits),
              testing::ElementsAre("forward: cudnn engine 1", "backward_data: cudnn engine 1"));
  EXPECT_THAT(ways_of(*device, kFits, {.training = false}), testing::ElementsAre("forward: cudnn engine 1"));
  EXPECT_THAT(ways_of(*device, kFits, {.input_gradient = false}), testing::ElementsAre("forward: cudnn engine 1"));
}

TEST(CudaAttention, IsItsOwnWhereTheShapeOrThePrecisionIsNotCudnns) {
  EXPECT_FALSE(is_fused(kFits, Precision::kFloat32));
  EXPECT_FALSE(is_fused(kFits, Precision::kTf32));
  EXPECT_FALSE(is_fused({{2, 3, 1, 24}, 2}));  // heads of 4
  EXPECT_FALSE(is_fused({{2, 1, 1, 48}, 2}));  // one position
}

TEST(CudaAttention, IsItsOwnOnGpusThatNobodyKnows) {
  for (const auto& [gpu, fused] : {std::pair{75, false}, {80, true}, {86, true}, {90, true}, {100, false}}) {
    cuda_fake::set_capability(gpu);
    EXPECT_EQ(is_fused(kFits), fused) << gpu;
  }
}

TEST(CudaAttention, IsItsOwnWhereCudnnIsNotInstalled) {
  cuda_fake::hide_cudnn(true);
  EXPECT_FALSE(is_fused(kFits));
}

// Compiled or not.
TEST(CudaAttention, IsItsOwnWhereNoEngineWillDo) {
  constexpr std::size_t kTooMuch = std::size_t{1} << 40;
  cuda_fake::offer_engines({{.atomic = true}, {.supported = false}, {.scratch_bytes = kTooMuch}});
  EXPECT_FALSE(is_fused(kFits));
  cuda_fake::offer_engines({{.atomic = true}, {.compiled = true}});
  EXPECT_TRUE(is_fused(kFits));
  cuda_fake::offer_engines({{.compiled = true, .fallback = true}});
  EXPECT_TRUE(is_fused(kFits));
}

// A layer more costs the question of what GPU it is; another shape is planned.
TEST(CudaAttention, LayersOfOneShapeShareTheirPlans) {
  const auto device = device_for(Precision::kBfloat16);
  const auto calls_for = [&](const AttentionDesc& desc) {
    cuda_fake::fail_call(0);
    EXPECT_TRUE(device->plan(desc, {}).ok());
    return cuda_fake::calls();
  };
  EXPECT_GT(calls_for(kFits), 100u);
  EXPECT_EQ(calls_for(kFits), 1u);
  EXPECT_GT(calls_for({{1, 3, 1, 48}, 2}), 100u);
}

TEST(CudaAttention, AnEngineHasTheScratchThatItWants) {
  cuda_fake::offer_engines({{.scratch_bytes = 1'000}});
  const auto device = device_for(Precision::kBfloat16);
  const auto little = device->plan(kFits, {}).value()->info().scratch_bytes;
  cuda_fake::offer_engines({{.scratch_bytes = 128'000}});
  const auto more = device_for(Precision::kBfloat16)->plan(kFits, {}).value()->info().scratch_bytes;
  EXPECT_EQ(more - little, 128'000u - 1'024u);
}

// Forward and backward of whatever lies there.
Status attend() {
  RUBATO_ASSIGN(const auto device, open_device({"cuda", 1, Precision::kBfloat16}));
  RUBATO_ASSIGN(const auto op, device->plan(kFits, {}));
  const std::size_t in = 4 * static_cast<std::size_t>(op->info().input.elements());
  const std::size_t out = 4 * static_cast<std::size_t>(op->info().output.elements());
  std::vector<Buffer> buffers;
  for (const std::size_t bytes : {in, out, out, in, op->info().saved_bytes, op->info().scratch_bytes}) {
    RUBATO_ASSIGN(Buffer buffer, device->allocate(bytes));
    buffers.push_back(std::move(buffer));
  }
  const auto floats = [&](std::size_t i) { return reinterpret_cast<float*>(buffers[i].data()); };
  op->bind({.input = floats(0),
            .output = floats(1),
            .output_gradient = floats(2),
            .input_gradient = floats(3),
            .saved = buffers[4].data(),
            .scratch = buffers[5].data()});
  RUBATO_TRY(op->forward({}));
  RUBATO_TRY(op->begin_backward());
  RUBATO_TRY(op->backward_data());
  std::vector<float> gradient(in / 4);
  return device->copy_out(gradient, floats(3));
}

TEST(CudaAttention, FailureOfAnyCallIsAnErrorAndLeavesNothing) {
  ASSERT_TRUE(is_fused(kFits));
  cuda_fake::fail_call(0);
  ASSERT_TRUE(attend().ok());
  const std::size_t calls = cuda_fake::calls();
  EXPECT_GT(calls, 500u);
  for (std::size_t n = 1; n <= calls; ++n) {
    cuda_fake::fail_call(n);
    const Status status = attend();
    const std::string failed = cuda_fake::failed_call();
    SCOPED_TRACE(testing::Message() << "call " << n << ", " << failed);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().cause, Cause::kDevice);
    EXPECT_THAT(status.error().message, HasSubstr(failed));
    EXPECT_EQ(cuda_fake::live().all(), 0u);
  }
}

TEST(CudaAttention, WhatFailsSaysOfWhatItWas) {
  cuda_fake::fail_call(0);
  ASSERT_TRUE(attend().ok());
  const std::size_t calls = cuda_fake::calls();
  std::vector<std::string> said;
  for (std::size_t n = 1; n <= calls; ++n) {
    cuda_fake::fail_call(n);
    const Status status = attend();
    if (cuda_fake::failed_call() == "cudnnBackendExecute") said.push_back(status.error().message);
  }
  EXPECT_THAT(said, testing::ElementsAre(
                        HasSubstr("cudnnBackendExecute of attention forward of 2 x 3 positions, 2 heads of 8 on stream "
                                  "compute: "),
                        HasSubstr("cudnnBackendExecute of attention backward_data of 2 x 3 positions, 2 heads of 8 on "
                                  "stream compute: ")));
}

}  // namespace
}  // namespace rubato::kernels
