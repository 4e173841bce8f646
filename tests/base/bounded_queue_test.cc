#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace rubato {
namespace {

TEST(BoundedQueue, KeepsOrderAndCapacity) {
  BoundedQueue<int> queue(2);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.push(2));
  EXPECT_FALSE(queue.try_push(3));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_TRUE(queue.try_push(3));
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.pop(), 3);
}

TEST(BoundedQueue, ClosedTakesNothingAndGivesWhatIsInside) {
  BoundedQueue<std::unique_ptr<int>> queue(2);
  EXPECT_TRUE(queue.push(std::make_unique<int>(1)));
  queue.close();
  EXPECT_FALSE(queue.push(std::make_unique<int>(2)));
  EXPECT_FALSE(queue.try_push(std::make_unique<int>(2)));
  EXPECT_EQ(*queue.pop().value(), 1);
  EXPECT_FALSE(queue.pop().has_value());
}

TEST(BoundedQueue, CloseWakesWhoWaits) {
  BoundedQueue<int> full(1), empty(1);
  ASSERT_TRUE(full.push(1));
  std::thread producer([&] { EXPECT_FALSE(full.push(2)); });
  std::thread consumer([&] { EXPECT_EQ(empty.pop(), std::nullopt); });
  full.close();
  empty.close();
  producer.join();
  consumer.join();
}

TEST(BoundedQueue, LosesAndDoublesNothingBetweenThreads) {
  constexpr int kThreads = 4, kItems = 5'000;
  BoundedQueue<int> queue(3);
  std::vector<std::atomic<int>> seen(kThreads * kItems);
  std::vector<std::thread> producers, consumers;
  for (int t = 0; t < kThreads; ++t) {
    producers.emplace_back([&, t] {
      for (int i = 0; i < kItems; ++i) queue.push(t * kItems + i);
    });
    consumers.emplace_back([&] {
      while (auto item = queue.pop()) ++seen[static_cast<std::size_t>(*item)];
    });
  }
  for (std::thread& thread : producers) thread.join();
  queue.close();
  for (std::thread& thread : consumers) thread.join();
  for (const auto& count : seen) ASSERT_EQ(count, 1);
}

TEST(BoundedQueueDeathTest, CapacityMayNotBeZero) { EXPECT_DEATH(BoundedQueue<int>(0), "capacity > 0"); }

}  // namespace
}  // namespace rubato
