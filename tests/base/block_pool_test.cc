#include "base/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"

namespace rubato {
namespace {

TEST(BlockPool, UsesAgainWhatWasGivenBack) {
  BlockPool pool(128);
  const int* first = nullptr;
  {
    const auto one = pool.make<int>(7);
    EXPECT_EQ(*one, 7);
    first = one.get();
  }
  const auto again = pool.make<int>(8);
  EXPECT_EQ(again.get(), first);
  const auto other = pool.make<int>(9);
  EXPECT_NE(other.get(), first);
  EXPECT_EQ(pool.blocks(), 2u);
  EXPECT_EQ(*again, 8);
}

TEST(BlockPool, WhoKnowsAnObjectWithoutKeepingItKeepsItsBlock) {
  BlockPool pool(128);
  auto object = pool.make<int>(7);
  std::weak_ptr<int> mark = object;
  object.reset();
  const auto other = pool.make<int>(8);
  EXPECT_TRUE(mark.expired());
  EXPECT_EQ(pool.blocks(), 2u);
  mark.reset();
  EXPECT_EQ(*pool.make<int>(9), 9);
  EXPECT_EQ(pool.blocks(), 2u);
}

TEST(BlockPool, CopiesBytes) {
  BlockPool pool(256);
  std::vector<std::byte> bytes(1000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  for (const std::size_t size : {192, 1, 13, 0, 192}) {
    const Payload copy = pool.copy_of(std::span(bytes).first(size));
    EXPECT_TRUE(std::ranges::equal(copy.bytes(), std::span(bytes).first(size)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(copy.bytes().data()) % 8, 0u);
  }
  EXPECT_EQ(pool.blocks(), 1u);
  EXPECT_EQ(pool.copy_of(bytes).size(), 1000u) << "too large for a block";
  EXPECT_EQ(pool.blocks(), 1u);
}

TEST(BlockPool, ObjectsOutliveIt) {
  std::optional<BlockPool> pool(std::in_place, 128);
  auto kept = pool->make<std::vector<int>>(3, 5);
  const auto last = pool->make<int>(2);
  auto dropped = pool->make<int>(1);
  dropped.reset();
  pool.reset();
  EXPECT_EQ(*kept, std::vector<int>({5, 5, 5}));
  kept.reset();
  EXPECT_EQ(*last, 2);
}

TEST(BlockPool, ObjectsAreDroppedOnAnyThread) {
  constexpr int kObjects = 100'000;
  constexpr std::size_t kUnderWay = 64, kThreads = 3;
  using Numbers = std::array<int, 16>;
  BlockPool pool(128);
  BoundedQueue<std::shared_ptr<const Numbers>> queue(kUnderWay);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      while (const auto numbers = queue.pop()) good += std::ranges::count(**numbers, (*numbers)->front()) == 16 ? 1 : 0;
    });
  for (int i = 0; i < kObjects; ++i) {
    Numbers numbers;
    numbers.fill(i);
    queue.push(pool.make<const Numbers>(numbers));
  }
  queue.close();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, kObjects);
  EXPECT_LE(pool.blocks(), kUnderWay + 2 * kThreads + 1);
}

}  // namespace
}  // namespace rubato
