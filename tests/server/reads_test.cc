// What a slice keeps of what workers were given, and for how long.
#include "server/reads.h"

#include <gtest/gtest.h>

namespace rubato::server {
namespace {

class KeptReads : public testing::Test {
 protected:
  Read next() {
    SlotRef slot = pool_->take();
    slot->view().weights[0] = static_cast<float>(++version_);
    return {std::move(slot), version_, static_cast<std::int64_t>(version_)};
  }
  // The version that answers; 0 if there is none.
  Version give(std::uint32_t worker, Clock clock, Clock floor = 0, Incarnation life = 1) {
    const Read* read = reads_.give(worker, life, clock, floor, next());
    return read == nullptr ? 0 : read->version;
  }
  bool keeps(std::uint32_t worker, Clock clock, Version version) {
    const Read* read = reads_.find(worker, clock, version);
    EXPECT_TRUE(read == nullptr || weights_of(read->slot)[0] == static_cast<float>(version));
    return read != nullptr;
  }

  std::shared_ptr<SlotPool> pool_ =
      SlotPool::create({.elements = 1}, {.slices = 1, .readers = 4, .kept = 4 * Reads::kOfWorkerMax}).value();
  Version version_ = 0;
  Reads reads_;
};

TEST_F(KeptReads, APullThatComesAgainGetsTheSameAnswer) {
  EXPECT_EQ(give(0, 5), 1u);
  EXPECT_EQ(give(0, 5), 1u);
  EXPECT_EQ(give(1, 5), 3u) << "another worker";
  EXPECT_EQ(give(0, 6), 4u) << "another step";
  EXPECT_TRUE(keeps(0, 5, 1));
  EXPECT_TRUE(keeps(0, 6, 4));
  EXPECT_FALSE(keeps(0, 6, 1));
  EXPECT_FALSE(keeps(0, 7, 4));
  EXPECT_FALSE(keeps(9, 5, 1));
  EXPECT_EQ(pool_->in_use(), 3u);
}

// A bound that moves: the pull ahead of the grant may ask for more than the one behind it, or for less, and either may
// come first. The worker uses whichever answer comes first and has the floor of its grant.
TEST_F(KeptReads, BothAnswersToTwoFloorsAreKept) {
  EXPECT_EQ(give(0, 5), 1u);
  EXPECT_EQ(give(0, 5, 1), 1u);
  EXPECT_EQ(give(0, 5, 2), 3u);
  EXPECT_EQ(give(0, 5), 1u);
  EXPECT_EQ(give(0, 5, 3), 3u);
  EXPECT_TRUE(keeps(0, 5, 1) && keeps(0, 5, 3));
  EXPECT_EQ(pool_->in_use(), 2u);
}

TEST_F(KeptReads, NoMoreThanWhoKeepsToTheProtocolNeeds) {
  for (const Clock clock : {5, 6, 7, 8}) EXPECT_NE(give(0, clock), 0u);
  EXPECT_EQ(give(0, 9), 0u);
  EXPECT_EQ(give(0, 8), 4u);
  reads_.settle(0, 6);
  EXPECT_FALSE(keeps(0, 5, 1) || keeps(0, 6, 2));
  EXPECT_TRUE(keeps(0, 7, 3));
  EXPECT_EQ(give(0, 9), 7u);
  EXPECT_EQ(pool_->in_use(), 3u);
  reads_.settle(0, 9);
  EXPECT_EQ(pool_->in_use(), 0u);
}

TEST_F(KeptReads, ANewLifeStartsWithNothingAndTheDeadKeepNothing) {
  give(0, 5);
  give(1, 5);
  EXPECT_EQ(give(0, 5, 0, 2), 3u);
  reads_.forget_if([](std::uint32_t worker, Incarnation life) { return worker == 1 && life == 1; });
  EXPECT_FALSE(keeps(1, 5, 2));
  EXPECT_TRUE(keeps(0, 5, 3));
  EXPECT_EQ(pool_->in_use(), 1u);
}

}  // namespace
}  // namespace rubato::server
