// What a loader gives depends on the range alone, whatever was hinted, in whatever order.
#include "data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace rubato::data {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSeed = 5, kSamples = 50;

class LoaderTest : public testing::Test {
 protected:
  static Job job() {
    Job job;
    job.data.kind = "synthetic";
    job.data.samples = kSamples;
    job.model.size = 7;
    job.train.seed = kSeed;
    return job;
  }
  BatchBuffer expected(const SampleRange& range) const {
    const auto ids = permutation(kSeed, range.epoch, kSamples);
    BatchBuffer batch;
    EXPECT_TRUE(dataset_->gather(range.epoch, std::span(ids).subspan(range.first, range.count), batch).ok());
    return batch;
  }
  void expect_gathers(Loader& loader, const SampleRange& range) {
    ASSERT_TRUE(loader.gather(range, batch_).ok());
    const BatchBuffer right = expected(range);
    EXPECT_EQ(batch_.count, static_cast<std::int64_t>(range.count));
    EXPECT_EQ(batch_.sample_ids, right.sample_ids);
    EXPECT_EQ(batch_.targets, right.targets);
  }

  const std::unique_ptr<Dataset> dataset_ = std::move(open_dataset(job(), Split::kTrain)).value();
  BatchBuffer batch_;
};

TEST_F(LoaderTest, GathersWithoutHints) {
  Loader loader(*dataset_, EpochOrder::Kind::kShuffled, kSeed);
  expect_gathers(loader, {0, 0, 8});
  expect_gathers(loader, {3, 42, 8});
  expect_gathers(loader, {0, 50, 0});
  EXPECT_EQ(loader.hits(), 0u);
}

TEST_F(LoaderTest, ReadsAheadWhatWasHinted) {
  Loader loader(*dataset_, EpochOrder::Kind::kShuffled, kSeed, 2);
  loader.hint({0, 0, 8});
  for (std::uint64_t first = 0; first < 40; first += 8) {
    loader.hint({0, first + 8, 8});
    expect_gathers(loader, {0, first, 8});
  }
  EXPECT_EQ(loader.hits(), 5u);
}

TEST_F(LoaderTest, WrongHintsCostTimeAlone) {
  Loader loader(*dataset_, EpochOrder::Kind::kShuffled, kSeed, 3);
  for (std::uint64_t i = 0; i < 20; ++i) loader.hint({9, i, 8});
  expect_gathers(loader, {0, 0, 8});  // never hinted
  expect_gathers(loader, {9, 3, 8});  // pushed out
  EXPECT_EQ(loader.hits(), 0u);
  expect_gathers(loader, {9, 18, 8});  // passes over 17
  expect_gathers(loader, {9, 17, 8});
  expect_gathers(loader, {9, 19, 8});
  EXPECT_EQ(loader.hits(), 2u);
}

TEST_F(LoaderTest, AnyMixtureOfHintsGivesTheSame) {
  Loader loader(*dataset_, EpochOrder::Kind::kShuffled, kSeed, 3);
  RandomStream random(1);
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t first = random.below(4) * 10;
    const SampleRange range{random.below(3), first, 1 + random.below(10)};
    if (random.below(2) == 0) {
      loader.hint(range);
    } else {
      expect_gathers(loader, range);
    }
  }
  EXPECT_GT(loader.hits(), 0u);
}

TEST_F(LoaderTest, RefusesRangesOutsideTheDataSet) {
  Loader loader(*dataset_, EpochOrder::Kind::kShuffled, kSeed);
  for (const SampleRange& range : {SampleRange{0, 43, 8}, {0, 51, 0}, {0, ~0ull, 2}, {0, 1, ~0ull}}) {
    loader.hint(range);
    const Status status = loader.gather(range, batch_);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().cause, Cause::kMalformed);
    EXPECT_THAT(status.error().message, HasSubstr("the data set has 50"));
  }
  expect_gathers(loader, {0, 42, 8});
}

TEST_F(LoaderTest, ReadsInOrderForEvaluation) {
  Loader loader(*dataset_, EpochOrder::Kind::kInOrder, kSeed);
  ASSERT_TRUE(loader.gather({0, 10, 3}, batch_).ok());
  EXPECT_THAT(batch_.sample_ids, testing::ElementsAre(10, 11, 12));
}

// Its sample 3 cannot be read.
class DamagedDataset final : public Dataset {
 public:
  [[nodiscard]] std::uint64_t size() const override { return 8; }
  [[nodiscard]] SampleShape shape() const override { return {1, 1, 1}; }
  [[nodiscard]] std::int64_t target_floats() const override { return 0; }
  [[nodiscard]] const std::string& fingerprint() const override { return fingerprint_; }
  [[nodiscard]] Status gather(std::uint64_t /*epoch*/, std::span<const std::uint64_t> ids,
                              BatchBuffer& batch) const override {
    batch.sample_ids.assign(ids.begin(), ids.end());
    if (std::ranges::find(ids, 3u) == ids.end()) return {};
    return Error{Cause::kData, "sample 3 is damaged"};
  }

 private:
  std::string fingerprint_;
};

TEST(LoaderOfDamagedData, AnErrorComesWithItsOwnRange) {
  const DamagedDataset damaged;
  Loader loader(damaged, EpochOrder::Kind::kInOrder, kSeed);
  BatchBuffer batch;
  for (const bool hinted : {false, true})
    for (std::uint64_t first = 0; first < 8; first += 2) {
      if (hinted) loader.hint({0, first, 2});
      const Status status = loader.gather({0, first, 2}, batch);
      EXPECT_EQ(status.ok(), first != 2);
      if (!status.ok()) {
        EXPECT_EQ(status.error().message, "sample 3 is damaged");
      }
    }
  loader.hint({0, 2, 2});  // passed over: nobody hears of it
  loader.hint({0, 4, 2});
  EXPECT_TRUE(loader.gather({0, 4, 2}, batch).ok());
}

TEST_F(LoaderTest, StopsWithHintsUnderWay) {
  Loader loader(*dataset_, EpochOrder::Kind::kShuffled, kSeed, 4);
  for (std::uint64_t i = 0; i < 4; ++i) loader.hint({i, 0, 50});
}

TEST_F(LoaderTest, WhatWasHintedFirstCanBeTakenAheadOnceItIsRead) {
  Loader loader(*dataset_, EpochOrder::Kind::kShuffled, kSeed);
  EXPECT_FALSE(loader.take_ahead(batch_).has_value());
  const SampleRange first{0, 0, 10}, second{0, 10, 10};
  loader.hint(first);
  loader.hint(second);
  for (const SampleRange& range : {first, second}) {
    std::optional<SampleRange> taken;
    while (!taken) taken = loader.take_ahead(batch_);
    EXPECT_EQ(*taken, range);
    EXPECT_EQ(batch_.sample_ids, expected(range).sample_ids);
    expect_gathers(loader, range);  // once more, on the spot
  }
  EXPECT_EQ(loader.hits(), 2u);
  EXPECT_FALSE(loader.take_ahead(batch_).has_value());
}

}  // namespace
}  // namespace rubato::data
