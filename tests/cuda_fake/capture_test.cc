// What the fake notices of captured streams, and what steps make of recordings: from the second step of a shape on a
// network's calls are launched as one, with the same bits.
#include <gmock/gmock.h>

#include <optional>

#include "kernels/cuda/recording.h"
#include "kernels/cuda/update_rules.h"
#include "tests/cuda_fake/fake.h"
#include "tests/cuda_fake/networks.h"

namespace rubato::cuda_fake {
namespace {

using kernels::cuda::CopyStreams;
using kernels::cuda::DeviceFloats;
using kernels::cuda::enqueue_copy;
using kernels::cuda::PinnedArray;
using kernels::cuda::Stream;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CudaCapture : public testing::Test {
 protected:
  Status double_it() {
    return kernels::cuda::check(
        kernels::cuda::enqueue_sum(device_.data(), device_.data(), device_.size(), compute_.get()), "a sum");
  }
  Status bring() {
    return copies_->bring(std::as_bytes(host_.span()), std::as_writable_bytes(device_.span()), compute_);
  }
  Status send() { return copies_->send(std::as_bytes(device_.span()), std::as_writable_bytes(back_.span()), compute_); }
  Status begin() { return begin_recording(compute_, *copies_); }
  auto end() { return end_recording(compute_, *copies_); }
  void SetUp() override {
    std::ranges::fill(host_.span(), 3.0f);
    std::ranges::fill(back_.span(), -1.0f);
  }
  void TearDown() override { (void)compute_.synchronize(); }

  const Stream compute_ = Stream::create("compute").value();
  const std::unique_ptr<CopyStreams> copies_ = CopyStreams::create().value();
  const DeviceFloats device_ = DeviceFloats::allocate(4).value();
  const PinnedArray<float> host_ = PinnedArray<float>::allocate(4).value(),
                           back_ = PinnedArray<float>::allocate(4).value();
};

TEST_F(CudaCapture, WhatIsRecordedIsDoneEachTimeItIsReplayed) {
  ASSERT_TRUE(begin().ok() && bring().ok() && double_it().ok() && send().ok());
  const auto mark = copies_->mark_copies();
  ASSERT_TRUE(mark.ok());
  const auto calls = end();
  ASSERT_TRUE(calls.ok()) << calls.error().message;
  ASSERT_TRUE(compute_.synchronize().ok());
  EXPECT_THAT(back_.span(), Each(-1.0f));
  for (const float value : {3.0f, 5.0f}) {
    std::ranges::fill(host_.span(), value);
    ASSERT_TRUE(calls.value()->replay().ok());
    ASSERT_TRUE(copies_->wait_for(*mark).ok());
    EXPECT_THAT(back_.span(), Each(2.0f * value));
  }
  EXPECT_THAT(take_faults(), IsEmpty());
}

TEST_F(CudaCapture, NobodyWaitsInACapture) {
  ASSERT_TRUE(begin().ok() && double_it().ok());
  EXPECT_FALSE(compute_.synchronize().ok());
  EXPECT_FALSE(DeviceFloats::allocate(1).ok());
  EXPECT_FALSE(end().ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("cudaStreamSynchronize while a stream is captured")));
}

TEST_F(CudaCapture, WhatIsForkedIsJoined) {
  ASSERT_EQ(cudaStreamBeginCapture(compute_.get(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
  ASSERT_TRUE(double_it().ok() && send().ok());
  cudaGraph_t graph = nullptr;
  EXPECT_NE(cudaStreamEndCapture(compute_.get(), &graph), cudaSuccess);
  EXPECT_EQ(graph, nullptr);
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("is not joined")));
}

TEST_F(CudaCapture, AGraphHasNoEventFromBefore) {
  const auto event = kernels::cuda::Event::create().value();
  ASSERT_TRUE(event.record(compute_).ok());
  ASSERT_TRUE(begin().ok() && event.hold(compute_).ok());
  EXPECT_FALSE(end().ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("an event that was recorded before")));
}

TEST_F(CudaCapture, MemoryThatIsNotPinnedIsNotCaptured) {
  const std::vector<float> plain(4);
  ASSERT_TRUE(begin().ok() && enqueue_copy(device_.span(), plain, compute_).ok());
  EXPECT_FALSE(end().ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("not pinned is captured")));
}

// Streams that are in order by themselves are not so in a graph: it has what was captured of them.
TEST_F(CudaCapture, AMissingEventInAGraphIsAFault) {
  ASSERT_TRUE(begin().ok() && bring().ok());
  ASSERT_TRUE(enqueue_copy<float>(device_.span(), std::span<const float>(host_.span()), copies_->pull()).ok());
  ASSERT_TRUE(double_it().ok());
  const auto calls = end();
  ASSERT_TRUE(calls.ok()) << calls.error().message;
  ASSERT_TRUE(calls.value()->replay().ok() && compute_.synchronize().ok());
  EXPECT_THAT(take_faults(), testing::Contains(HasSubstr("nothing says which is first")));
}

TEST_F(CudaCapture, AGraphDoesNotOutliveWhatItTouches) {
  auto device = std::make_optional(DeviceFloats::allocate(4).value());
  ASSERT_TRUE(begin().ok());
  ASSERT_TRUE(enqueue_copy<float>(back_.span(), device->span(), compute_).ok());
  const auto calls = end();
  ASSERT_TRUE(calls.ok() && calls.value()->replay().ok() && compute_.synchronize().ok());
  device.reset();
  EXPECT_FALSE(calls.value()->replay().ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("touches memory that is gone")));
}

// Of a step's calls, once it was run twice.
class CudaRecordedStep : public testing::Test {
 protected:
  static model::SmallModel named(const char* title) {
    std::vector<model::SmallModel> all = model::networks_on_cuda();
    for (const model::SmallModel& small : model::small_models()) all.push_back(small);
    for (const model::SmallModel& small : all)
      if (small.title == title) return small;
    return {};
  }
  // Gradients of four steps, and the calls of the last one.
  std::vector<std::vector<std::vector<float>>> steps(const model::SmallModel& small, bool pinned) {
    const auto device = kernels::open_device({"cuda"}).value();
    const auto model = model::make_model(small.config, small.shape, model::kClasses, *device, 8, 5).value();
    model::PinnedStore store(*model, *device);
    if (pinned) {
      EXPECT_TRUE(store.pin().ok());
    }
    std::vector<std::vector<std::vector<float>>> gradients;
    for (std::uint64_t step = 0; step < 4; ++step) {
      const model::OwnedBatch batch = model::batch_for(small, 3, 10 * step);
      for (auto& values : store->values)
        for (float& value : values) value *= 0.75f;
      ++store->version_number;
      fail_call(0);
      const auto done = model->train_leaf(batch.view(step), *store, *store);
      EXPECT_TRUE(done.ok()) << done.error().message;
      calls_ = calls();
      gradients.push_back(store->gradients);
    }
    return gradients;
  }
  std::size_t calls_ = 0;
};

TEST_F(CudaRecordedStep, HasFewCallsAndTheSameBits) {
  for (const char* title : {"mlp relu", "mlp dropout", "gpt", "layers of an image with convolutions"}) {
    SCOPED_TRACE(title);
    const model::SmallModel small = named(title);
    const auto recorded = steps(small, true);
    const std::size_t of_recorded = calls_;
    const auto plain = steps(small, false);
    EXPECT_EQ(recorded, plain);
    EXPECT_LT(of_recorded, calls_ * 3 / 4);
  }
}

TEST_F(CudaRecordedStep, IsNoneWhereCallsAreTheHosts) {
  const model::SmallModel small = named("recurrent");
  EXPECT_EQ(steps(small, true), steps(small, false));
}

}  // namespace
}  // namespace rubato::cuda_fake
