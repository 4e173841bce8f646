// A worker's steps on the CUDA device: gradients go into the shared memory that they are sent from, which is pinned for
// that as long as there is a runner.
#include <gmock/gmock.h>

#include "tests/cuda_fake/fake.h"
#include "tests/worker/step_fixture.h"
#include "transport/shm/shared_heap.h"
#include "worker/weight_table.h"

namespace rubato::worker {
namespace {

using cuda_fake::live;

class CudaWorker : public testing::Test {
 protected:
  static ModelConfig mlp() {
    ModelConfig config;
    config.hidden = {32, 24};
    return config;
  }
  [[nodiscard]] std::unique_ptr<model::Model> make(kernels::Device& device) const {
    return model::make_model(mlp(), {1, 1, 50}, 4, device, 16, 1).value();
  }
  [[nodiscard]] RunnerOptions options(kernels::Device* device) const {
    return {.samples = 64, .shape = {1, 1, 50}, .slice_bytes = 4096, .memory = heap_, .device = device};
  }
  static protocol::StepGrant step(std::uint64_t first, std::uint32_t leaves = 1) {
    return step_of(first, 16, leaves, protocol::nodes_of_worker(0, 1, leaves));
  }
  static std::vector<std::vector<std::uint32_t>> bits(const std::vector<SliceGradient>& reports) {
    std::vector<std::vector<std::uint32_t>> all;
    for (const SliceGradient& report : reports) all.push_back(bits_of(report.gradient.floats()));
    return all;
  }
  [[nodiscard]] bool in_lane(const SliceGradient& gradient) const {
    return heap_->find(gradient.gradient.bytes()).has_value();
  }

  const std::shared_ptr<transport::SharedHeap> heap_ = std::make_shared<transport::SharedHeap>();
};

TEST_F(CudaWorker, GradientsGoIntoTheLaneWithTheSameBits) {
  for (const std::uint32_t leaves : {1, 4}) {
    const auto device = kernels::open_device({"cuda"}).value();
    const auto model = make(*device), other = make(*device);
    Runner pinned(*model, options(device.get())), plain(*other, options(nullptr));
    for (std::uint64_t first = 0; first < 64; first += 16) {
      ASSERT_TRUE(pinned.run(step(first, leaves)).ok() && plain.run(step(first, leaves)).ok());
      ASSERT_FALSE(pinned.reports.empty());
      EXPECT_EQ(bits(pinned.reports), bits(plain.reports));
      for (const SliceGradient& gradient : pinned.reports) EXPECT_TRUE(in_lane(gradient));
    }
  }
}

TEST_F(CudaWorker, WithoutGraphsStepsHaveTheSameBits) {
  kernels::DeviceConfig config{"cuda"};
  const auto device = kernels::open_device(config).value();
  config.graphs = false;
  const auto plain_device = kernels::open_device(config).value();
  const auto model = make(*device), other = make(*plain_device);
  Runner recorded(*model, options(device.get())), plain(*other, options(plain_device.get()));
  for (std::uint64_t first = 0; first < 64; first += 16) {
    const std::size_t others = live().graphs;
    ASSERT_TRUE(plain.run(step(first)).ok());
    EXPECT_EQ(live().graphs, others);
    ASSERT_TRUE(recorded.run(step(first)).ok());
    EXPECT_EQ(bits(recorded.reports), bits(plain.reports));
  }
  EXPECT_GT(live().graphs, 0u);
}

// By a worker that reads ahead.
TEST_F(CudaWorker, BatchesThatComeAheadGiveTheSameBits) {
  const auto device = kernels::open_device({"cuda"}).value();
  const auto model = make(*device), other = make(*device);
  Runner ahead(*model, options(device.get())), plain(*other, options(nullptr));
  for (std::uint64_t first = 0; first < 64; first += 16) {
    // What the step behind this one is about; of the last two it is not so.
    ahead.loader.hint({0, first == 32 ? 0 : (first + 16) % 64, 16});
    ASSERT_TRUE(ahead.run(step(first)).ok() && plain.run(step(first)).ok());
    EXPECT_EQ(bits(ahead.reports), bits(plain.reports));
  }
}

// As the memory of a server that has died and whose messages wait: whoever still shows gradients gets another arena
// pinned beside it, in the same segment.
TEST_F(CudaWorker, ArenasThatOthersHaveStayPinnedAndNewOnesAre) {
  const auto device = kernels::open_device({"cuda"}).value();
  const auto model = make(*device);
  Runner runner(*model, options(device.get()));
  ASSERT_TRUE(runner.run(step(0)).ok());
  const std::size_t before = live().pinned;
  const std::vector<SliceGradient> kept = runner.reports;
  const auto first = bits(kept);
  ASSERT_TRUE(runner.run(step(16)).ok() && runner.run(step(32)).ok());
  EXPECT_EQ(live().pinned, before + 1);
  EXPECT_EQ(bits(kept), first);
}

TEST_F(CudaWorker, GradientsOutliveRunnerAndDevice) {
  std::vector<SliceGradient> kept;
  std::vector<std::vector<std::uint32_t>> were;
  {
    const auto device = kernels::open_device({"cuda"}).value();
    const auto model = make(*device);
    Runner runner(*model, options(device.get()));
    ASSERT_TRUE(runner.run(step(0)).ok());
    kept = runner.reports;
    were = bits(kept);
  }
  EXPECT_EQ(live().all(), 0u);
  EXPECT_EQ(bits(kept), were);
}

// Which is slow, and right.
TEST_F(CudaWorker, WhatCannotBePinnedIsCopiedAllTheSame) {
  const auto device = kernels::open_device({"cuda"}).value();
  const auto other = make(*device);
  Runner plain(*other, options(nullptr));
  ASSERT_TRUE(plain.run(step(0)).ok());
  for (std::size_t n = 1;; ++n) {
    const auto model = make(*device);
    Runner runner(*model, options(device.get()));
    cuda_fake::fail_call(n);
    const auto done = runner.run(step(0));
    const std::string failed = cuda_fake::failed_call();
    cuda_fake::fail_call(0);
    ASSERT_FALSE(failed.empty()) << "nothing was pinned";
    if (failed != "cudaHostRegister") continue;
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(bits(runner.reports), bits(plain.reports));
    break;
  }
}

TEST_F(CudaWorker, TheTableOfWeightsIsPinnedWhenItIsMade) {
  const auto device = kernels::open_device({"cuda"}).value();
  const auto model = make(*device);
  const Runner runner(*model, options(device.get()));
  const std::size_t before = live().pinned;
  WeightTable table(runner.layout, device.get());
  EXPECT_EQ(live().pinned, before);
  const auto [first, count] = runner.layout.slice(0);
  table.take({0, 0, 1, Payload::of_floats(std::vector<float>(count, 1.0f))});
  EXPECT_EQ(live().pinned, before + 1);
  EXPECT_EQ(table.slice(0)[0], 1.0f);
}

}  // namespace
}  // namespace rubato::worker
