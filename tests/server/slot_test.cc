#include "server/slot.h"

#include <gtest/gtest.h>

#include <thread>

namespace rubato::server {
namespace {

std::shared_ptr<SlotPool> pool_of(SlotPool::Bounds bounds, std::size_t elements = 5, std::size_t planes = 2) {
  return SlotPool::create({.elements = elements, .planes = planes}, bounds).value();
}

TEST(SlotPool, LaysPlanesOutOnCacheLines) {
  const SlotRef slot = pool_of({.slices = 1})->take();
  const kernels::SlotView view = slot->view();
  for (std::span<float> plane : {view.weights, view.state[0], view.state[1]}) {
    EXPECT_EQ(plane.size(), 5u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(plane.data()) % 64, 0u);
  }
  EXPECT_TRUE(pool_of({.slices = 1}, 5, 1)->take()->view().state[1].empty());
  EXPECT_TRUE(view.mean_square.empty());
  const kernels::SliceShape shape{.elements = 5, .planes = 1, .mean_square = true};
  const SlotRef compensated = SlotPool::create(shape, {.slices = 1}).value()->take();
  EXPECT_EQ(compensated->view().mean_square.data(), compensated->view().state[0].data() + 16);
  EXPECT_EQ(slot_bytes(shape), 3 * 64u);
  EXPECT_TRUE(compensated->view().average.empty());
  const kernels::SliceShape averaged{.elements = 5, .planes = 1, .mean_square = true, .average = true};
  const auto pool = SlotPool::create(averaged, {.slices = 1}).value();
  const SlotRef slot_with_all = pool->take();
  EXPECT_EQ(slot_with_all->view().average.data(), slot_with_all->view().state[0].data() + 32);
  EXPECT_EQ(slot_with_all->view().average.size(), 5u);
  EXPECT_EQ(slot_bytes(averaged), 4 * 64u);
  pool->drop_state(*slot_with_all);
  EXPECT_TRUE(slot_with_all->view().average.empty());
}

TEST(SlotPool, HandsOutTheSlotGivenBackLast) {
  const auto pool = pool_of({.slices = 3, .readers = 2});
  SlotRef a = pool->take(), b = pool->take(), c = pool->take();
  const Slot* warm = b.get();
  a.reset();
  c.reset();
  b.reset();
  EXPECT_EQ(pool->take().get(), warm);
  EXPECT_EQ(pool->take().get(), warm);
  EXPECT_EQ(pool->in_use(), 0u);
}

// Two slices, updated in turns: each writes the slot that the one before has left.
TEST(SlotPool, TellsHowMuchHasPassedThroughTheCacheSinceASlotWasRead) {
  const auto pool = pool_of({.slices = 2, .readers = 1}, 16, 1);
  constexpr std::size_t kSlot = 2 * 64, kGradient = 64, kUpdate = 2 * kSlot + kGradient;
  SlotRef a = pool->take(), b = pool->take(), next = pool->take();
  EXPECT_EQ(pool->count_update(*a, *next), 0u) << "nothing yet";
  std::swap(a, next);
  EXPECT_EQ(pool->count_update(*b, *next), kUpdate);
  std::swap(b, next);
  // A reader keeps the slot that was left last; the next one was never read.
  SlotRef other = pool->take();
  EXPECT_EQ(pool->count_update(*a, *other), 2 * kUpdate);
  EXPECT_EQ(pool->count_update(*other, *next), 2 * kUpdate) << "left by the update before the last one";
}

TEST(SlotPool, APayloadKeepsItsSlotOutOfThePoolAndThePoolAlive) {
  auto pool = pool_of({.slices = 1, .readers = 2});
  SlotRef slot = pool->take();
  const Slot* first = slot.get();
  slot->view().weights[4] = 3.0f;
  Payload payload = pinned(slot);
  slot.reset();
  EXPECT_NE(pool->take().get(), first);
  EXPECT_EQ(payload.size(), 5 * sizeof(float));
  pool.reset();
  EXPECT_EQ(payload.floats()[4], 3.0f);
}

TEST(SlotPool, GrowsToItsBoundAndSaysWhenItIsCrowded) {
  const SlotPool::Bounds bounds{.slices = 2, .readers = 1, .snapshots = 1};
  EXPECT_EQ(bounds.pins_max(), 6u);
  EXPECT_EQ(bounds.slots_max(), 11u);
  EXPECT_EQ((SlotPool::Bounds{.slices = 2, .readers = 1, .snapshots = 1, .kept = 3}).slots_max(), 17u);
  const auto pool = pool_of(bounds);
  EXPECT_EQ(pool->allocated(), 3u);
  std::vector<SlotRef> held;
  while (held.size() < bounds.slots_max()) {
    EXPECT_EQ(pool->crowded(), held.size() >= bounds.pins_max());
    held.push_back(pool->take());
  }
  EXPECT_EQ(pool->allocated(), bounds.slots_max());
  EXPECT_DEATH((void)pool->take(), "11 slots for 2 slices");
  held.pop_back();
  EXPECT_NE(pool->take(), nullptr);
}

// Whoever reads an older version keeps its weights from being written, and no more than those.
TEST(SlotPool, BlocksOfStateAreAsManyAsSlicesAndOneToWrite) {
  const auto pool = pool_of({.slices = 2, .readers = 2});
  std::vector<SlotRef> current{pool->take(), pool->take()};
  std::vector<Payload> read;
  for (int update = 0; update < 3; ++update)
    for (SlotRef& slot : current) {
      read.push_back(pinned(slot));
      SlotRef next = pool->take();
      ASSERT_EQ(next->view().state[1].size(), 5u);
      next->view().weights[0] = slot->view().weights[0] + 1.0f;
      next->view().state[1][4] = slot->view().state[1][4] + 1.0f;
      pool->drop_state(*slot);
      EXPECT_TRUE(slot->view().state[0].empty());
      slot = next;
      const SlotRef never_published = pool->take();
      pool->drop_state(*never_published);
    }
  EXPECT_EQ(pool->allocated(), 2 + 6 + 1u);
  EXPECT_EQ(pool->states_allocated(), 2 + 1u);
  for (std::size_t i = 0; i < read.size(); ++i) EXPECT_EQ(read[i].floats()[0], static_cast<float>(i / 2));
  for (const SlotRef& slot : current) EXPECT_EQ(slot->view().state[1][4], 3.0f);
}

TEST(SlotPool, WithoutStateThereAreNoBlocks) {
  const auto pool = pool_of({.slices = 2}, 5, 0);
  const SlotRef slot = pool->take();
  pool->drop_state(*slot);
  EXPECT_EQ(pool->states_allocated(), 0u);
}

TEST(SlotPool, RefusesMoreThanThereIsMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers end the process on such a request";
#endif
  const auto pool = SlotPool::create({.elements = std::size_t{1} << 58}, {.slices = 1});
  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().cause, Cause::kMemory);
  EXPECT_NE(pool.error().message.find("not enough memory: 2199023255552.0 MiB are wanted for 1 slices of "),
            std::string::npos)
      << pool.error().message;
}

// Its count of references is another one then: the first is still known.
TEST(SlotPool, HandsOutASlotThatSomebodyKnowsOfAgain) {
  const auto pool = pool_of({.slices = 2, .readers = 2});
  SlotRef slot = pool->take();
  const Slot* first = slot.get();
  const std::weak_ptr<Slot> known = slot;
  slot.reset();
  EXPECT_TRUE(known.expired());
  SlotRef again = pool->take(), other = again;
  EXPECT_EQ(again.get(), first);
  EXPECT_EQ(again.use_count(), 2);
  EXPECT_TRUE(known.expired());
  again.reset();
  EXPECT_EQ(other.use_count(), 1);
  EXPECT_EQ(pool->in_use(), 1u);
}

TEST(SlotPool, IsGoneWithItsLastSlotAndWhoKnowsOfIt) {
  auto pool = pool_of({.slices = 1});
  const std::weak_ptr<SlotPool> gone = pool;
  SlotRef slot = pool->take();
  std::weak_ptr<Slot> known = slot;
  pool.reset();
  slot.reset();
  EXPECT_TRUE(known.expired());
  EXPECT_FALSE(gone.expired());
  known.reset();
  EXPECT_TRUE(gone.expired());
}

// What a transport does: the last reference to a slot goes on another thread, while the shard takes more.
TEST(SlotPool, TakesSlotsBackFromOtherThreads) {
  const auto pool = pool_of({.slices = 8, .readers = 6});
  constexpr int kRounds = 2000;
  for (int round = 0; round < kRounds / 16; ++round) {
    std::vector<Payload> left, right;
    for (int i = 0; i < 16; ++i) {
      SlotRef slot = pool->take();
      slot->view().weights[0] = static_cast<float>(i);
      (i % 2 == 0 ? left : right).push_back(pinned(slot));
    }
    const auto drop = [](std::vector<Payload>& payloads, int first) {
      for (const Payload& payload : payloads) {
        EXPECT_EQ(payload.floats()[0], static_cast<float>(first));
        first += 2;
      }
      payloads.clear();
    };
    std::thread a(drop, std::ref(left), 0), b(drop, std::ref(right), 1);
    for (int i = 0; i < 16; ++i) pool->take()->view().weights[0] = -1.0f;
    a.join();
    b.join();
  }
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_LE(pool->allocated(), pool->bounds().slots_max());
}

}  // namespace
}  // namespace rubato::server
