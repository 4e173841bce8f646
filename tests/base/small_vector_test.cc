#include "base/small_vector.h"

#include <gmock/gmock.h>

#include <memory>
#include <vector>

namespace rubato {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Numbers = SmallVector<int, 3>;

bool lies_inside(const Numbers& numbers) {
  const auto* first = reinterpret_cast<const std::byte*>(numbers.begin());
  const auto* object = reinterpret_cast<const std::byte*>(&numbers);
  return first >= object && first < object + sizeof(numbers);
}

TEST(SmallVector, IsAVectorOfAnyLength) {
  Numbers numbers;
  std::vector<int> expected;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(numbers.size(), expected.size());
    EXPECT_EQ(numbers.empty(), expected.empty());
    EXPECT_TRUE(std::ranges::equal(numbers, expected)) << i;
    numbers.push_back(i);
    expected.push_back(i);
    EXPECT_EQ(numbers.back(), i);
    EXPECT_EQ(numbers[static_cast<std::size_t>(i)], i);
  }
}

TEST(SmallVector, TheFirstFewLieInIt) {
  Numbers numbers{1, 2, 3};
  EXPECT_TRUE(lies_inside(numbers));
  numbers.push_back(4);
  EXPECT_FALSE(lies_inside(numbers));
  numbers.clear();
  EXPECT_THAT(numbers, IsEmpty());
  numbers.push_back(5);
  EXPECT_TRUE(lies_inside(numbers));
  EXPECT_THAT(numbers, ElementsAre(5));
}

TEST(SmallVector, InsertsAnywhere) {
  for (int count = 0; count < 6; ++count)
    for (int at = 0; at <= count; ++at) {
      Numbers numbers;
      std::vector<int> expected;
      for (int i = 0; i < count; ++i) {
        numbers.push_back(i);
        expected.push_back(i);
      }
      EXPECT_EQ(*numbers.insert(numbers.begin() + at, 77), 77);
      expected.insert(expected.begin() + at, 77);
      EXPECT_TRUE(std::ranges::equal(numbers, expected)) << at << " of " << count;
    }
}

TEST(SmallVector, IsCopiedAndMovedWhereverItLies) {
  for (const Numbers& numbers : {Numbers{}, Numbers{1, 2}, Numbers{1, 2, 3, 4}}) {
    Numbers copy = numbers;
    EXPECT_EQ(copy, numbers);
    copy.push_back(9);
    EXPECT_NE(copy, numbers);
    Numbers moved = std::move(copy);
    EXPECT_EQ(moved.size(), numbers.size() + 1);
    copy = numbers;  // what was moved from takes anything
    EXPECT_EQ(copy, numbers);
    moved = copy;
    EXPECT_EQ(moved, numbers);
  }
}

TEST(SmallVector, EqualIsWhatHasEqualElements) {
  Numbers shrunk{1, 2, 3, 4};
  shrunk.clear();
  shrunk.push_back(1);
  EXPECT_EQ(shrunk, Numbers{1});
  EXPECT_EQ(Numbers(std::vector{1, 2, 3, 4}), (Numbers{1, 2, 3, 4}));
  EXPECT_NE((Numbers{1, 2}), (Numbers{1, 3}));
  EXPECT_NE((Numbers{1, 2}), (Numbers{1, 2, 3, 4}));
}

TEST(SmallVector, LetsGoOfWhatWasCleared) {
  const auto value = std::make_shared<int>(7);
  SmallVector<std::shared_ptr<int>, 2> values;
  for (int count : {1, 2, 3}) {
    for (int i = 0; i < count; ++i) values.push_back(value);
    EXPECT_EQ(value.use_count(), 1 + count);
    values.clear();
    EXPECT_EQ(value.use_count(), 1);
  }
}

}  // namespace
}  // namespace rubato
