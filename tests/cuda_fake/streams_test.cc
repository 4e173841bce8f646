// What the fake notices of streams, events and pinned memory: each right, and with one mistake. And what the product
// makes of it: gradients leave while the layers before theirs are still to be computed.
#include <gmock/gmock.h>

#include "kernels/cuda/copy_streams.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/update_rules.h"
#include "tests/cuda_fake/fake.h"
#include "tests/cuda_fake/networks.h"

namespace rubato::cuda_fake {
namespace {

using kernels::cuda::CopyStreams;
using kernels::cuda::DeviceFloats;
using kernels::cuda::enqueue_copy;
using kernels::cuda::Event;
using kernels::cuda::PinnedArray;
using kernels::cuda::Stream;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Four floats on the device, and four that are pinned on the host.
class CudaStreams : public testing::Test {
 protected:
  Status fill(const Stream& stream) {
    return enqueue_copy<float>(device_.span(), std::span<const float>(host_.span()), stream);
  }
  Status read(const Stream& stream) { return enqueue_copy<float>(back_.span(), device_.span(), stream); }
  Status double_it(const Stream& stream) {
    return kernels::cuda::check(
        kernels::cuda::enqueue_sum(device_.data(), device_.data(), device_.size(), stream.get()), "a sum");
  }
  void SetUp() override { std::ranges::fill(host_.span(), 3.0f); }
  // Reads nothing of a test's: what is left under way is done.
  void TearDown() override {
    for (const Stream* stream : {&one_, &other_}) (void)stream->synchronize();
  }

  Stream one_ = Stream::create("one").value(), other_ = Stream::create("other").value();
  Event event_ = Event::create().value();
  DeviceFloats device_ = DeviceFloats::allocate(4).value();
  PinnedArray<float> host_ = PinnedArray<float>::allocate(4).value(), back_ = PinnedArray<float>::allocate(4).value();
};

TEST_F(CudaStreams, WhatAnotherStreamWroteIsThereBehindAnEvent) {
  ASSERT_TRUE(fill(one_).ok() && double_it(one_).ok());
  ASSERT_TRUE(event_.record(one_).ok() && event_.hold(other_).ok());
  ASSERT_TRUE(read(other_).ok() && other_.synchronize().ok());
  EXPECT_THAT(back_.span(), testing::Each(6.0f));
  EXPECT_THAT(take_faults(), IsEmpty());
}

TEST_F(CudaStreams, WithoutAnEventItIsAFault) {
  ASSERT_TRUE(fill(one_).ok() && read(other_).ok());
  ASSERT_TRUE(other_.synchronize().ok() && one_.synchronize().ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("stream 1 writes what stream 2 touches")));
}

TEST_F(CudaStreams, AnEventThatIsTooEarlyIsAFault) {
  ASSERT_TRUE(fill(one_).ok());
  ASSERT_TRUE(event_.record(one_).ok() && event_.hold(other_).ok());
  ASSERT_TRUE(double_it(one_).ok());  // a kernel
  ASSERT_TRUE(one_.synchronize().ok());
  ASSERT_TRUE(take_faults().empty());
  ASSERT_TRUE(fill(one_).ok() && event_.record(one_).ok() && double_it(one_).ok());
  ASSERT_TRUE(event_.hold(other_).ok() && read(other_).ok());
  ASSERT_TRUE(one_.synchronize().ok() && other_.synchronize().ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("stream 2 reads what stream 1 touches")));
}

TEST_F(CudaStreams, AnEventOnTheWrongStreamIsAFault) {
  ASSERT_TRUE(fill(one_).ok());
  ASSERT_TRUE(event_.record(other_).ok() && event_.hold(other_).ok() && double_it(other_).ok());
  ASSERT_TRUE(one_.synchronize().ok() && other_.synchronize().ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("stream 2")));
}

TEST_F(CudaStreams, WhatIsStillReadIsNotOverwritten) {
  ASSERT_TRUE(fill(one_).ok() && one_.synchronize().ok());
  ASSERT_TRUE(read(other_).ok() && fill(one_).ok());
  ASSERT_TRUE(one_.synchronize().ok() && other_.synchronize().ok());
  EXPECT_EQ(take_faults().size(), 1u);
  ASSERT_TRUE(read(other_).ok());
  ASSERT_TRUE(event_.record(other_).ok() && event_.hold(one_).ok());
  ASSERT_TRUE(fill(one_).ok() && one_.synchronize().ok());
  EXPECT_THAT(take_faults(), IsEmpty());
}

TEST_F(CudaStreams, WhatTheHostHasWaitedForIsOver) {
  ASSERT_TRUE(fill(one_).ok() && event_.record(one_).ok());
  ASSERT_TRUE(event_.synchronize().ok());
  ASSERT_TRUE(read(other_).ok() && other_.synchronize().ok());
  EXPECT_THAT(back_.span(), testing::Each(3.0f));
  EXPECT_THAT(take_faults(), IsEmpty());
  ASSERT_TRUE(double_it(one_).ok() && event_.record(one_).ok());
  ASSERT_FALSE(event_.has_passed().value());  // it is told every other time
  ASSERT_TRUE(event_.has_passed().value());
  ASSERT_TRUE(read(other_).ok() && other_.synchronize().ok());
  EXPECT_THAT(back_.span(), testing::Each(6.0f));
}

TEST_F(CudaStreams, EventsAreNotUsedWrongly) {
  ASSERT_TRUE(event_.hold(other_).ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("cudaStreamWaitEvent for an event that was never recorded")));
  ASSERT_TRUE(event_.synchronize().ok() && event_.has_passed().ok());
  EXPECT_EQ(take_faults().size(), 2u);
  ASSERT_TRUE(event_.record(one_).ok() && event_.record(one_).ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("what nobody has waited for")));
  ASSERT_TRUE(event_.hold(other_).ok() && event_.record(one_).ok());  // a stream has
  ASSERT_TRUE(one_.synchronize().ok() && event_.record(one_).ok());   // the host has, in a way
  EXPECT_THAT(take_faults(), IsEmpty());
}

TEST_F(CudaStreams, MemoryThatIsNotPinnedIsCopiedBesideNothing) {
  const std::vector<float> plain(4, 1.0f);
  ASSERT_TRUE(enqueue_copy(device_.span(), plain, one_).ok() && one_.synchronize().ok() && event_.record(one_).ok());
  EXPECT_THAT(take_faults(), IsEmpty());
  ASSERT_TRUE(event_.hold(other_).ok());
  ASSERT_TRUE(enqueue_copy(device_.span(), plain, one_).ok() && event_.record(one_).ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("behind a copy of memory that is not pinned")));
  ASSERT_TRUE(one_.synchronize().ok());
}

TEST_F(CudaStreams, PinnedMemoryStaysWhileItIsCopied) {
  {
    const auto gone = PinnedArray<float>::allocate(4).value();
    ASSERT_TRUE(enqueue_copy<float>(gone.span(), device_.span(), one_).ok());
  }
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("cudaFreeHost of memory that a copy of 16 bytes is under way to")));
  ASSERT_TRUE(fill(one_).ok());
  host_.span()[1] = 4.0f;
  ASSERT_TRUE(one_.synchronize().ok());
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("the host changed memory")));
}

TEST_F(CudaStreams, RegisteredMemoryIsUnregisteredWhenNothingIsUnderWay) {
  const auto copies = CopyStreams::create().value();
  std::vector<float> plain(6);
  const auto bytes = std::as_writable_bytes(std::span(plain));
  {
    const auto pinned = copies->pin(bytes.first(16)).value();
    EXPECT_TRUE(copies->is_pinned(bytes.subspan(4, 8)));
    EXPECT_FALSE(copies->is_pinned(bytes));
    EXPECT_EQ(live().pinned, 3u);
    const auto twice = copies->pin(bytes.subspan(8));
    ASSERT_FALSE(twice.ok());
    EXPECT_THAT(twice.error().message, HasSubstr("cudaHostRegister of 16 bytes"));
    ASSERT_TRUE(enqueue_copy<std::byte>(bytes.subspan(4, 16), std::as_bytes(device_.span()), one_).ok());
    EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("a part of 16 bytes is pinned")));
    ASSERT_TRUE(one_.synchronize().ok());
    ASSERT_TRUE(enqueue_copy<std::byte>(bytes.first(16), std::as_bytes(device_.span()), one_).ok());
  }
  EXPECT_FALSE(copies->is_pinned(bytes.first(4)));
  EXPECT_EQ(live().pinned, 2u);
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("cudaHostUnregister of memory that a copy of 16 bytes is under")));
  EXPECT_NE(cudaHostUnregister(plain.data()), cudaSuccess);
  EXPECT_THAT(take_faults(), ElementsAre(HasSubstr("not registered")));
}

// Copies of one step after the other, of numbers that a kernel works on in between.
class CudaCopies : public CudaStreams {
 protected:
  Status step(bool begins, bool marks) {
    if (begins) RUBATO_TRY(copies_->begin_step(one_));
    RUBATO_TRY(copies_->bring(std::as_bytes(host_.span()), std::as_writable_bytes(device_.span()), one_));
    RUBATO_TRY(double_it(one_));
    RUBATO_TRY(copies_->send(std::as_bytes(device_.span()), std::as_writable_bytes(back_.span()), one_));
    if (!marks) return {};
    RUBATO_ASSIGN(const kernels::CopyMark mark, copies_->mark_copies());
    EXPECT_GT(mark, 0u);
    return copies_->wait_for(mark);
  }
  const std::unique_ptr<CopyStreams> copies_ = CopyStreams::create().value();
};

TEST_F(CudaCopies, OfEachStepAreBehindTheOneBefore) {
  for (int n = 1; n < 4; ++n) {
    std::ranges::fill(host_.span(), static_cast<float>(n));
    ASSERT_TRUE(step(true, true).ok());
    EXPECT_THAT(back_.span(), testing::Each(2.0f * static_cast<float>(n)));
  }
  EXPECT_EQ(copies_->mark_copies().value(), 0u);  // nothing new
  EXPECT_THAT(take_faults(), IsEmpty());
}

TEST_F(CudaCopies, AStepThatDoesNotBeginOverwritesWhatIsStillRead) {
  ASSERT_TRUE(step(true, false).ok() && step(false, false).ok());
  copies_->drain();
  EXPECT_THAT(take_faults(), testing::Contains(HasSubstr("nothing says which is first")));
}

// What leaves a network's step, in which order.
TEST(CudaStep, HandsGradientsOverWhileLayersBeforeAreStillToCome) {
  const auto device = kernels::open_device({"cuda"}).value();
  for (const model::SmallModel& small : model::small_models()) {
    if (small.title != "mlp relu") continue;
    const auto model = model::make_model(small.config, small.shape, model::kClasses, *device, 8, 5).value();
    const model::OwnedBatch batch = model::batch_for(small, 3);
    model::PinnedStore pinned(*model, *device);
    ASSERT_TRUE(pinned.pin().ok());
    ASSERT_TRUE(model->train_leaf(batch.view(), *pinned, *pinned).ok());
    const std::vector<std::string>& calls = pinned->calls;
    const auto place = [&](const char* call) { return std::ranges::find(calls, call) - calls.begin(); };
    EXPECT_LT(place("buffer 3"), place("ready 5"));  // the second layer was enqueued, and
    EXPECT_LT(place("ready 5"), place("buffer 1"));  // the last one's gradients there, before the first one was
    EXPECT_LT(place("ready 0"), std::ssize(calls));

    model::Store plain(*model);  // the same bits by copies that are waited for
    ASSERT_TRUE(model->train_leaf(batch.view(), plain, plain).ok());
    EXPECT_EQ(plain.gradients, pinned->gradients);
  }
}

}  // namespace
}  // namespace rubato::cuda_fake
