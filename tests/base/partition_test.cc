#include "base/partition.h"

#include <gtest/gtest.h>

namespace rubato {
namespace {

TEST(Share, CoversEverythingOnceInOrderAndEvenly) {
  for (std::uint64_t total = 0; total <= 40; ++total) {
    for (std::uint64_t parts = 1; parts <= 12; ++parts) {
      std::uint64_t next = 0, smallest = total, largest = 0;
      for (std::uint64_t index = 0; index < parts; ++index) {
        const Part part = share(total, parts, index);
        EXPECT_EQ(part.first, next);
        next += part.count;
        smallest = std::min(smallest, part.count);
        largest = std::max(largest, part.count);
      }
      EXPECT_EQ(next, total);
      EXPECT_LE(largest - smallest, 1u) << total << " in " << parts;
    }
  }
}

TEST(Share, IsGolden) {
  EXPECT_EQ(share(10, 4, 0), (Part{0, 3}));
  EXPECT_EQ(share(10, 4, 1), (Part{3, 3}));
  EXPECT_EQ(share(10, 4, 2), (Part{6, 2}));
  EXPECT_EQ(share(10, 4, 3), (Part{8, 2}));
  EXPECT_EQ(share(2, 4, 3), (Part{2, 0}));
  EXPECT_EQ(share(~0ull, 2, 1), (Part{1ull << 63, (1ull << 63) - 1}));
}

TEST(LeafOfBatch, StandsWhereTheBatchStands) {
  EXPECT_EQ(leaf_of_batch({128, 64}, 4, 0), (Part{128, 16}));
  EXPECT_EQ(leaf_of_batch({128, 64}, 4, 3), (Part{176, 16}));
  EXPECT_EQ(leaf_of_batch({59968, 32}, 3, 1), (Part{59979, 11}));  // the short batch at an epoch's end
  EXPECT_EQ(leaf_of_batch({100, 2}, 4, 2), (Part{102, 0}));
}

TEST(ShareDeathTest, AsksForAPartThatExists) { EXPECT_DEATH((void)share(10, 4, 4), "part 4 of 4"); }

}  // namespace
}  // namespace rubato
