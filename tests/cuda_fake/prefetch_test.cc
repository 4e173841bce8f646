// Inputs that come ahead of their step: they are the ones that are computed on, if they are those of the step, and what
// the host does with its memory meanwhile changes nothing.
#include <gmock/gmock.h>

#include "tests/cuda_fake/fake.h"
#include "tests/cuda_fake/networks.h"

namespace rubato::model {
namespace {

class Offered final : public NextBatch {
 public:
  const Batch* peek() override {
    ++asked;
    return batch ? &*batch : nullptr;
  }
  std::optional<Batch> batch;
  int asked = 0;
};

class CudaPrefetch : public testing::Test {
 protected:
  static SmallModel mlp() {
    SmallModel small{"mlp", {}, {1, 1, 13}};
    small.config.hidden = {11, 7};
    return small;
  }
  CudaPrefetch() { EXPECT_TRUE(store_.pin().ok()); }

  // Gradients of a step on this batch, behind which `next` is said to come.
  std::vector<std::vector<float>> step(const OwnedBatch& batch, std::optional<Batch> next = {}) {
    Offered offered;
    offered.batch = next;
    Batch view = batch.view();
    view.next = &offered;
    const auto done = model_->train_leaf(view, *store_, *store_);
    EXPECT_TRUE(done.ok()) << done.error().message;
    EXPECT_GT(offered.asked, 0);
    return store_->gradients;
  }

  const std::unique_ptr<kernels::Device> device_ = kernels::open_device({"cuda"}).value();
  const std::unique_ptr<Model> model_ = make_model(mlp().config, mlp().shape, kClasses, *device_, 8, 5).value();
  PinnedStore store_{*model_, *device_};
};

TEST_F(CudaPrefetch, WhatCameAheadIsComputedOn) {
  const OwnedBatch first = batch_for(mlp(), 4), second = batch_for(mlp(), 4, 100);
  const auto want = step(second);
  OwnedBatch given = second;
  (void)step(first, given.view());
  std::ranges::fill(given.inputs, -3.0f);  // it was read, and is the host's again
  EXPECT_EQ(step(given), want);
}

TEST_F(CudaPrefetch, OneAfterTheOther) {
  std::vector<OwnedBatch> batches;
  for (std::uint64_t i = 0; i < 6; ++i) batches.push_back(batch_for(mlp(), 4, 10 * i));
  std::vector<std::vector<std::vector<float>>> want, got;
  for (const OwnedBatch& batch : batches) want.push_back(step(batch));
  for (std::size_t i = 0; i < batches.size(); ++i)
    got.push_back(step(batches[i], batches[(i + 1) % batches.size()].view()));
  EXPECT_EQ(got, want);
}

TEST_F(CudaPrefetch, AnotherBatchThanItWasSaidIsReadWhereItLies) {
  const OwnedBatch first = batch_for(mlp(), 4), second = batch_for(mlp(), 4, 100), third = batch_for(mlp(), 4, 200),
                   short_one = batch_for(mlp(), 3, 300);
  const auto want = step(third);
  (void)step(first, second.view());
  EXPECT_EQ(step(third, short_one.view()), want);  // and of another size
  (void)step(short_one, third.view());
  EXPECT_EQ(step(third), want);
  Batch of_another_epoch = third.view(1);
  (void)step(first, of_another_epoch);
  EXPECT_EQ(step(third), want);
}

}  // namespace
}  // namespace rubato::model
