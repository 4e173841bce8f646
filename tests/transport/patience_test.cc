// Whether looking again pays, as it is learned from what came of it.
#include "transport/shm/patience.h"

#include <gtest/gtest.h>

namespace rubato::transport {
namespace {

constexpr TimeNs kLimit = 50 * kMicrosecond, kSoon = 80 * kMicrosecond, kLate = 10 * kMillisecond;

// How many answers have to come soon before somebody looks.
int soon_until_it_looks(Patience& patience) {
  int answers = 0;
  for (; patience.allowance() == 0 && answers < 10'000; ++answers) patience.came_to_a_sleeper(kSoon);
  return answers;
}

TEST(Patience, LooksWhereAnswersComeSoon) {
  Patience patience(kLimit);
  EXPECT_EQ(patience.allowance(), 0) << "nothing is known yet";
  EXPECT_EQ(soon_until_it_looks(patience), Patience::kWantedMin);
  EXPECT_EQ(patience.allowance(), kLimit);
  for (int i = 0; i < 100; ++i) {
    patience.came_while_looking(kLimit / 10);
    EXPECT_EQ(patience.allowance(), kLimit);
  }
}

TEST(Patience, NeverLooksWhereTheyComeLate) {
  Patience patience(kLimit);
  for (int i = 0; i < 100; ++i) {
    patience.came_to_a_sleeper(kLate);
    EXPECT_EQ(patience.allowance(), 0);
  }
}

TEST(Patience, OneLateAnswerBeginsAnew) {
  Patience patience(kLimit);
  (void)soon_until_it_looks(patience);
  patience.came_to_a_sleeper(kLate);
  EXPECT_EQ(soon_until_it_looks(patience), Patience::kWantedMin);
}

// As on one processor, where whoever looks keeps the answer from coming.
TEST(Patience, LooksEverMoreSeldomWhereItIsInVain) {
  Patience patience(kLimit);
  int before = 0;
  for (int wanted = Patience::kWantedMin; wanted < Patience::kWantedMax; wanted *= 2) {
    before = soon_until_it_looks(patience);
    EXPECT_EQ(before, wanted);
    patience.in_vain();
    EXPECT_EQ(patience.allowance(), 0);
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(soon_until_it_looks(patience), Patience::kWantedMax) << "and no more seldom than that";
    patience.in_vain();
  }
}

TEST(Patience, SuccessIsRemembered) {
  Patience patience(kLimit);
  for (int i = 0; i < 20; ++i) {
    (void)soon_until_it_looks(patience);
    patience.in_vain();
  }
  (void)soon_until_it_looks(patience);
  for (int i = 0; i < 20; ++i) patience.came_while_looking(kLimit / 10);
  patience.in_vain();
  EXPECT_EQ(soon_until_it_looks(patience), 2 * Patience::kWantedMin);
}

// Who is preempted while it looks finds what came of that; next time it would again.
TEST(Patience, WhatComesAfterTheLimitWasLookedForInVain) {
  Patience patience(kLimit);
  (void)soon_until_it_looks(patience);
  patience.came_while_looking(kLate);
  EXPECT_EQ(patience.allowance(), 0);
  EXPECT_EQ(soon_until_it_looks(patience), 2 * Patience::kWantedMin);
}

TEST(Patience, WithoutALimitThereIsNone) {
  Patience patience(0);
  for (int i = 0; i < 100; ++i) patience.came_to_a_sleeper(kSoon);
  EXPECT_EQ(patience.allowance(), 0);
}

}  // namespace
}  // namespace rubato::transport
