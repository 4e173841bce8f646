#include "worker/weight_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace rubato::worker {
namespace {

// One parameter in two slices.
class WeightTableTest : public testing::Test {
 protected:
  static protocol::Manifest one_parameter() {
    ParameterSpec spec;
    spec.name = "w";
    spec.shape = {32};
    return {spec};
  }
  static SliceWeights weights(Clock clock, SliceId slice, float value) {
    return {clock, slice, 1, Payload::of_floats(std::vector<float>(16, value))};
  }

  const protocol::Manifest manifest_ = one_parameter();
  const SliceLayout layout_{manifest_, {1, protocol::cut_slices(manifest_, 64, 1), {"a"}}};
  WeightTable table_{layout_};
};

TEST_F(WeightTableTest, AParameterIsThereWhenAllItsSlicesAre) {
  EXPECT_FALSE(table_.has(0, 0));
  table_.take(weights(0, 0, 1.0f));
  EXPECT_FALSE(table_.has(0, 0));
  table_.take(weights(0, 1, 2.0f));
  EXPECT_TRUE(table_.has(0, 0));
  EXPECT_FALSE(table_.has(0, 1));
  EXPECT_EQ(table_.parameter(0)[0], 1.0f);
  EXPECT_EQ(table_.parameter(0)[31], 2.0f);
}

TEST_F(WeightTableTest, WhatIsThereAlreadyIsNotWrittenAgain) {
  SliceWeights shared = weights(3, 0, 1.0f);
  table_.take(weights(3, 1, 2.0f));
  table_.take(shared);
  const auto before = table_.changes(0);
  shared.clock = 4;
  table_.take(shared);  // of another clock, and the same bytes
  EXPECT_EQ(table_.changes(0), before);
  EXPECT_FALSE(table_.has(0, 3));
  table_.take(weights(4, 1, 2.0f));  // equal, and not the same
  EXPECT_NE(table_.changes(0), before);
  EXPECT_TRUE(table_.has(0, 4));
}

TEST_F(WeightTableTest, AnArenaThatIsWrittenAgainHasAnotherVersion) {
  ArenaPool pool(16);
  const auto of_arena = [&](Version version, float value) {
    ArenaRef arena = pool.take();
    std::ranges::fill(arena->part(0, 16), value);
    return SliceWeights{0, 0, version, Payload(arena, std::as_bytes(arena->part(0, 16)))};
  };
  table_.take(of_arena(1, 1.0f));
  table_.take(of_arena(2, 2.0f));
  ASSERT_EQ(pool.allocated(), 1u);
  table_.take(weights(0, 1, 0.0f));
  EXPECT_EQ(table_.parameter(0)[0], 2.0f);
}

TEST_F(WeightTableTest, WhatWasWrittenOverIsWrittenAgain) {
  SliceWeights first = weights(0, 0, 1.0f);
  table_.take(weights(0, 1, 0.0f));
  table_.take(first);
  table_.take(weights(0, 0, 5.0f));
  table_.take(first);
  EXPECT_EQ(table_.parameter(0)[0], 1.0f);
}

}  // namespace
}  // namespace rubato::worker
