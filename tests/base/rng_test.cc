// Random numbers: the published vectors of Philox, and golden values computed by an independent
// implementation in Python, so that no platform or edit can change what a seed means.
#include "base/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace rubato {
namespace {

TEST(Philox, MatchesTheKnownAnswersOfRandom123) {
  constexpr std::uint64_t kOnes = ~std::uint64_t{0};
  EXPECT_EQ(philox4x32(0, 0, 0), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32(kOnes, kOnes, kOnes), (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(StreamKey, IsGoldenAndSeparatesSeedPurposeAndIndex) {
  EXPECT_EQ(stream_key(1, "permutation", 0), 0x4b4528b34adaa2cdu);
  EXPECT_EQ(stream_key(0, ""), 0xf52a15e9a9b5e89bu);
  EXPECT_NE(stream_key(1, "a", 0), stream_key(2, "a", 0));
  EXPECT_NE(stream_key(1, "a", 0), stream_key(1, "b", 0));
  EXPECT_NE(stream_key(1, "a", 0), stream_key(1, "a", 1));
}

TEST(RandomStream, IsGolden) {
  RandomStream words(stream_key(1, "test")), dice(stream_key(1, "test"));
  for (std::uint32_t expected : {0x1544cebeu, 0xfa491cefu, 0x30c0141eu, 0xc45a3f88u, 0x1bc640c4u}) {
    EXPECT_EQ(words.next_u32(), expected);
  }
  for (int expected : {0, 5, 1, 4, 0, 4, 0, 2, 3, 1, 2, 3})
    EXPECT_EQ(dice.below(6), static_cast<std::uint64_t>(expected));
}

TEST(RandomStream, StaysBelowAnyBound) {
  RandomStream random(7);
  for (std::uint64_t bound : {1ull, 2ull, 3ull, 0xFFFFFFFFull, 0x100000000ull, 0x100000001ull, ~0ull}) {
    for (int i = 0; i < 100; ++i) EXPECT_LT(random.below(bound), bound);
  }
  EXPECT_DEATH((void)random.below(0), "bound > 0");
}

TEST(RandomStream, IsUniform) {
  RandomStream random(8);
  std::vector<int> counts(10);
  for (int i = 0; i < 100'000; ++i) ++counts[random.below(10)];
  for (int count : counts) EXPECT_NEAR(count, 10'000, 500);  // five standard deviations
}

TEST(RandomStream, UnitsAndNormalsHaveTheirMoments) {
  RandomStream random(9);
  constexpr int kSamples = 100'000;
  double unit_sum = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < kSamples; ++i) {
    const double unit = random.next_unit(), normal = random.next_normal();
    EXPECT_TRUE(unit >= 0.0 && unit < 1.0 && std::isfinite(normal));
    unit_sum += unit;
    normal_sum += normal;
    normal_squares += normal * normal;
  }
  EXPECT_NEAR(unit_sum / kSamples, 0.5, 0.005);
  EXPECT_NEAR(normal_sum / kSamples, 0.0, 0.016);
  EXPECT_NEAR(normal_squares / kSamples, 1.0, 0.025);
}

TEST(UnitFloat, NeverReachesOne) {
  EXPECT_EQ(unit_float(0), 0.0f);
  EXPECT_LT(unit_float(0xFFFFFFFF), 1.0f);
}

}  // namespace
}  // namespace rubato
