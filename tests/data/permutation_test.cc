#include "data/permutation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace rubato::data {
namespace {

using testing::ElementsAre;

TEST(Permutation, IsGolden) {
  // Computed by an implementation in Python: these orders are part of what a seed means.
  EXPECT_THAT(permutation(1, 0, 10), ElementsAre(4, 3, 7, 5, 2, 1, 0, 9, 6, 8));
  EXPECT_THAT(permutation(1, 1, 10), ElementsAre(0, 4, 8, 3, 5, 1, 9, 7, 6, 2));
  EXPECT_THAT(permutation(2, 0, 10), ElementsAre(7, 5, 6, 1, 9, 0, 8, 3, 4, 2));
  const auto large = permutation(7, 3, 60'000);
  EXPECT_THAT(std::vector(large.begin(), large.begin() + 6), ElementsAre(59527, 44246, 5397, 54350, 34715, 1509));
  EXPECT_THAT(std::vector(large.end() - 3, large.end()), ElementsAre(14492, 28098, 49390));
}

TEST(Permutation, HoldsEachSampleOnce) {
  for (std::uint64_t size : {0u, 1u, 2u, 3u, 1000u}) {
    auto ids = permutation(3, 4, size);
    std::ranges::sort(ids);
    ASSERT_EQ(ids.size(), size);
    for (std::uint64_t i = 0; i < size; ++i) EXPECT_EQ(ids[i], i);
  }
}

TEST(Permutation, EveryOrderIsAboutAsLikely) {
  std::map<std::vector<std::uint64_t>, int> counts;
  for (std::uint64_t epoch = 0; epoch < 24'000; ++epoch) ++counts[permutation(1, epoch, 4)];
  EXPECT_EQ(counts.size(), 24u);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 160);  // five standard deviations
}

TEST(EpochOrder, RemembersAndForgetsWithoutChangingTheOrder) {
  EpochOrder order(EpochOrder::Kind::kShuffled, 1, 10);
  const auto zero = order.of(0), one = order.of(1);
  EXPECT_EQ(order.of(0).data(), zero.data());
  EXPECT_THAT(zero, testing::ElementsAreArray(permutation(1, 0, 10)));
  EXPECT_THAT(one, testing::ElementsAreArray(permutation(1, 1, 10)));
  for (std::uint64_t epoch : {5, 6, 7, 8, 0, 5, 0, 1, 6}) {
    EXPECT_THAT(order.of(epoch), testing::ElementsAreArray(permutation(1, epoch, 10)));
  }
}

TEST(EpochOrder, StaysValidWhileTwoMoreAreAskedFor) {
  EpochOrder order(EpochOrder::Kind::kShuffled, 1, 10);
  const auto zero = order.of(0);
  (void)order.of(1);
  (void)order.of(2);
  EXPECT_THAT(zero, testing::ElementsAreArray(permutation(1, 0, 10)));
}

TEST(EpochOrder, InOrderIsTheSameInEveryEpoch) {
  EpochOrder order(EpochOrder::Kind::kInOrder, 1, 4);
  EXPECT_THAT(order.of(0), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(order.of(9), ElementsAre(0, 1, 2, 3));
}

}  // namespace
}  // namespace rubato::data
