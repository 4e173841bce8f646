#include "worker/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "base/bounded_queue.h"

namespace rubato::worker {
namespace {

constexpr std::size_t kFloats = 1000;

Payload payload_of(const ArenaRef& arena) { return {arena, std::as_bytes(arena->part(0, kFloats))}; }

void fill(const ArenaRef& arena, float value) { std::ranges::fill(arena->part(0, kFloats), value); }

bool all_equal(const Payload& payload) {
  const auto floats = payload.floats();
  return std::ranges::all_of(floats, [&](float value) { return value == floats.front(); });
}

TEST(ArenaPool, AnArenaComesBackOnceNobodyHasIt) {
  ArenaPool pool(kFloats);
  const Arena* first = nullptr;
  for (int round = 0; round < 10; ++round) {
    const ArenaRef arena = pool.take();
    if (first == nullptr) first = arena.get();
    EXPECT_EQ(arena.get(), first);
  }
  EXPECT_EQ(pool.allocated(), 1u);
}

TEST(Arena, MayHaveWholePagesOfItsOwn) {
  PrivateMemory memory;
  for (const std::size_t floats : {std::size_t{1}, kFloats, std::size_t{4096}}) {
    Arena one(floats, memory, Arena::Place::kWholePages), other(floats, Arena::Place::kWholePages);
    for (Arena* arena : {&one, &other}) {
      const std::span<std::byte> pages = arena->whole_pages();
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pages.data()) % 4096, 0u);
      EXPECT_EQ(pages.size() % 4096, 0u);
      EXPECT_GE(pages.size(), floats * sizeof(float));
      EXPECT_EQ(static_cast<void*>(pages.data()), arena->part(0, floats).data());
      std::ranges::fill(pages, std::byte{1});  // they are there
    }
  }
}

TEST(ArenaPool, NeverHandsOutWhatAPayloadStillShows) {
  ArenaPool pool(kFloats);
  std::vector<Payload> kept;
  std::set<const void*> arenas;
  for (int i = 0; i < 20; ++i) {
    ArenaRef arena = pool.take();
    fill(arena, static_cast<float>(i));
    EXPECT_TRUE(arenas.insert(arena.get()).second);
    kept.push_back(payload_of(arena).part(4, 8));  // a part keeps all of it
  }
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(kept[i].floats()[0], static_cast<float>(i));
  EXPECT_EQ(pool.allocated(), 20u);

  kept.erase(kept.begin() + 7);
  const ArenaRef again = pool.take();
  EXPECT_EQ(again->part(0, 1)[0], 7.0f);
  EXPECT_EQ(pool.allocated(), 20u);
}

TEST(ArenaPool, TheLastOfSeveralPayloadsFreesAnArena) {
  ArenaPool pool(kFloats);
  Payload one = payload_of(pool.take());
  Payload two = one;
  one = {};
  EXPECT_NE(payload_of(pool.take()).bytes().data(), two.bytes().data());
  const void* address = two.bytes().data();
  two = {};
  EXPECT_EQ(payload_of(pool.take()).bytes().data(), address);
}

TEST(ArenaPool, ArenasAreAlignedForVectorsAndStartAsZeros) {
  for (std::size_t floats : {0, 1, 15, 16, 1000}) {
    ArenaPool pool(floats);
    const ArenaRef arena = pool.take();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena->part(0, floats).data()) % 64, 0u);
    EXPECT_TRUE(std::ranges::all_of(arena->part(0, floats), [](float value) { return value == 0.0f; }));
  }
}

// The compute thread writes and hands over; others read and let go, at moments of their own. The thread
// sanitizer sees a reader that is still at it, the check here one whose bytes changed.
TEST(ArenaPool, ReadersOnOtherThreadsAreNeverOverwritten) {
  constexpr int kRounds = 5'000, kReaders = 2;
  BoundedQueue<Payload> queue(4);
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  readers.reserve(kReaders);
  for (int reader = 0; reader < kReaders; ++reader)
    readers.emplace_back([&] {
      Payload before;  // let go one later than it was read
      while (std::optional<Payload> payload = queue.pop()) {
        if (!all_equal(*payload)) ++torn;
        before = std::move(*payload);
      }
    });
  ArenaPool pool(kFloats);
  for (int round = 0; round < kRounds; ++round) {
    const ArenaRef arena = pool.take();
    fill(arena, static_cast<float>(round));
    queue.push(payload_of(arena));
  }
  queue.close();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
  // Those in the queue, two with each reader, and the one being written.
  EXPECT_LE(pool.allocated(), 4u + 2 * kReaders + 1u);
}

}  // namespace
}  // namespace rubato::worker
