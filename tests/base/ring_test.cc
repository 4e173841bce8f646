#include "base/ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>

namespace rubato {
namespace {

TEST(Ring, IsAQueue) {
  Ring<int> ring;
  std::deque<int> expected;
  int next = 0;
  // Fills and empties by turns, further each time, so that it wraps around and grows while it is wrapped.
  for (int round = 1; round < 100; ++round) {
    for (int i = 0; i < round; ++i) {
      ring.push_back(next);
      expected.push_back(next++);
    }
    for (int i = 0; i < round - round % 3; ++i) {
      ASSERT_EQ(ring.pop_front(), expected.front());
      expected.pop_front();
    }
    ASSERT_EQ(ring.size(), expected.size());
  }
}

TEST(Ring, WhatCameLastCanBeTakenBack) {
  Ring<int> ring;
  for (int i = 0; i < 20; ++i) {
    ring.push_back(i);
    ring.push_back(-1);
    ring.pop_back();
    EXPECT_EQ(ring.front(), i / 2);
    if (i % 2 == 1) {
      EXPECT_EQ(ring.pop_front(), i / 2);
    }
  }
  EXPECT_EQ(ring.size(), 10u);
  while (!ring.empty()) ring.pop_back();
  ring.push_back(7);
  EXPECT_EQ(ring.front(), 7);
}

TEST(Ring, LetsGoOfWhatWasTaken) {
  Ring<std::shared_ptr<int>> ring;
  const auto value = std::make_shared<int>(7);
  ring.push_back(value);
  ring.push_back(value);
  EXPECT_EQ(*ring.pop_front(), 7);
  EXPECT_EQ(value.use_count(), 2);
  EXPECT_EQ(*ring.pop_front(), 7);
  EXPECT_EQ(value.use_count(), 1);
  EXPECT_TRUE(ring.empty());
  ring.push_back(value);
  ring.pop_back();
  EXPECT_EQ(value.use_count(), 1);
}

TEST(Ring, HoldsWhatOnlyMoves) {
  Ring<std::unique_ptr<int>> ring;
  for (int i = 0; i < 40; ++i) ring.push_back(std::make_unique<int>(i));
  for (int i = 0; i < 40; ++i) EXPECT_EQ(*ring.pop_front(), i);
}

}  // namespace
}  // namespace rubato
