// Every part is done once, whoever asks, and however many ask at once.
#include "data/thread_team.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/picture_cache.h"
#include "tests/data/picture_files.h"

namespace rubato::data {
namespace {

void expect_all_parts_once(ThreadTeam& team, std::size_t count) {
  std::vector<int> done(count, 0);
  team.run(count, [&](std::size_t part) { ++done[part]; });
  EXPECT_EQ(std::ranges::count(done, 1), static_cast<std::ptrdiff_t>(count));
}

TEST(ThreadTeam, DoesEveryPartOnce) {
  for (const std::size_t threads : {1, 2, 5}) {
    ThreadTeam team(threads);
    for (const std::size_t count : {0, 1, 2, 3, 100}) expect_all_parts_once(team, count);
  }
}

TEST(ThreadTeam, SeveralMayAskAtOnce) {
  ThreadTeam team(3);
  std::vector<std::thread> asking;
  for (int asker = 0; asker < 4; ++asker)
    asking.emplace_back([&] {
      for (std::size_t i = 0; i < 300; ++i) expect_all_parts_once(team, i % 17);
    });
  for (std::thread& thread : asking) thread.join();
}

TEST(PictureCache, KeepsWhatThereIsRoomFor) {
  const Picture picture = test::pattern(10, 10, 1);
  const std::uint64_t each = picture.bytes() + sizeof(Picture);
  PictureCache cache(5, 2 * each + 1);
  EXPECT_EQ(cache.find(3), nullptr);
  for (const std::uint64_t number : {3u, 3u, 0u, 1u, 3u}) cache.offer(number, picture);
  ASSERT_NE(cache.find(3), nullptr);
  EXPECT_EQ(cache.find(3)->pixels, picture.pixels);
  EXPECT_NE(cache.find(0), nullptr);
  EXPECT_EQ(cache.find(1), nullptr);
  EXPECT_EQ(cache.bytes(), 2 * each);
  cache.offer(1, test::pattern(1, 1, 1));
  EXPECT_EQ(cache.find(1), nullptr) << "a byte is left";
}

TEST(PictureCache, ManyThreadsKeepNoMoreThanItsBytes) {
  const Picture picture = test::pattern(8, 8, 3);
  const std::uint64_t each = picture.bytes() + sizeof(Picture);
  PictureCache cache(64, 20 * each);
  ThreadTeam team(4);
  team.run(1000, [&](std::size_t i) {
    if (cache.find(i % 64) == nullptr) cache.offer(i % 64, picture);
  });
  // Two that come at once may both find no room where one would have had some; whoever comes then does.
  for (std::uint64_t number = 0; number < 64; ++number) cache.offer(number, picture);
  std::uint64_t kept = 0;
  for (std::uint64_t number = 0; number < 64; ++number) kept += cache.find(number) != nullptr ? 1u : 0u;
  EXPECT_EQ(kept, 20u);
  EXPECT_EQ(cache.bytes(), 20 * each);
}

}  // namespace
}  // namespace rubato::data
