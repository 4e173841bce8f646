// What the shared-memory lane is made of: memory, heap, ring, loans.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/base/file_size_limit.h"
#include "transport/shm/loans.h"
#include "transport/shm/ring.h"
#include "transport/shm/shared_heap.h"

namespace rubato::transport {
namespace {

TEST(SharedMemory, IsTheSameForBothAndCanNeverShrink) {
  const SharedMemory ours = SharedMemory::create("test", 8192).value();
  EXPECT_TRUE(std::ranges::all_of(ours.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
  Descriptor copy(::dup(ours.descriptor().number()));
  const SharedMemory theirs = SharedMemory::map(std::move(copy), SharedMemory::Access::kRead).value();
  ASSERT_EQ(theirs.bytes().size(), 8192u);
  EXPECT_NE(theirs.bytes().data(), ours.bytes().data());
  ours.bytes()[5000] = std::byte{7};
  EXPECT_EQ(theirs.bytes()[5000], std::byte{7});
  EXPECT_NE(::ftruncate(ours.descriptor().number(), 4096), 0);
}

TEST(SharedMemory, WhatMayShrinkIsNotMapped) {
  Descriptor unsealed(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(unsealed.number(), 4096), 0);
  EXPECT_EQ(SharedMemory::map(std::move(unsealed), SharedMemory::Access::kRead).error().cause, Cause::kMalformed);
  Descriptor pipe_end;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Descriptor other(ends[1]);
  pipe_end.reset(ends[0]);
  EXPECT_EQ(SharedMemory::map(std::move(pipe_end), SharedMemory::Access::kRead).error().cause, Cause::kMalformed);
}

TEST(SharedMemory, LargeOnesStartWhereAHugePageMay) {
  constexpr std::size_t kBytes = 2 * SharedMemory::kHugePage + 100;
  const SharedMemory ours = SharedMemory::create("test", kBytes).value();
  const SharedMemory theirs =
      SharedMemory::map(Descriptor(::dup(ours.descriptor().number())), SharedMemory::Access::kRead).value();
  for (const SharedMemory* memory : {&ours, &theirs})
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->bytes().data()) % SharedMemory::kHugePage, 0u);
  ours.bytes()[kBytes - 1] = std::byte{7};
  EXPECT_EQ(theirs.bytes()[kBytes - 1], std::byte{7});
}

TEST(SharedMemory, HugePagesKeepWhatIsThere) {
  constexpr std::size_t kBytes = 3 * SharedMemory::kHugePage;
  const SharedMemory ours = SharedMemory::create("test", kBytes).value();
  const SharedMemory theirs =
      SharedMemory::map(Descriptor(::dup(ours.descriptor().number())), SharedMemory::Access::kRead).value();
  ours.bytes()[5000] = std::byte{7};
  ours.bytes()[SharedMemory::kHugePage + 5000] = std::byte{8};
  // The first page has something, the second is left as it is, the third has never been touched.
  const bool first = ours.make_huge(0, SharedMemory::kHugePage);
  const bool third = ours.make_huge(2 * SharedMemory::kHugePage, kBytes);
  RecordProperty("huge pages", first && third ? "given" : "refused");
  for (const SharedMemory* memory : {&ours, &theirs}) {
    EXPECT_EQ(memory->bytes()[5000], std::byte{7});
    EXPECT_EQ(memory->bytes()[SharedMemory::kHugePage + 5000], std::byte{8});
    EXPECT_EQ(std::ranges::count(memory->bytes(), std::byte{0}), kBytes - 2);
  }
}

TEST(SharedHeap, FindsWhatItGaveAndNothingElse) {
  SharedHeap heap;
  const auto small = heap.floats(3), next = heap.floats(100);
  const auto large = heap.floats(SharedHeap::kSegmentBytes / sizeof(float) + 1);  // has a segment of its own
  for (const auto& block : {small, next, large})
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.get()) % Memory::kAlignment, 0u);
  EXPECT_EQ(next.get() - small.get(), 16) << "a cache line later";
  const auto place = heap.find(std::as_bytes(std::span(next.get() + 2, 5)));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->segment, 0u);
  EXPECT_EQ(place->offset, 64u + 8u);
  EXPECT_EQ(heap.find(std::as_bytes(std::span(large.get(), 1)))->segment, 1u);
  const float elsewhere = 0.0f;
  EXPECT_FALSE(heap.find(std::as_bytes(std::span(&elsewhere, 1))));
}

TEST(SharedHeap, BlocksArePrivateWhereThereIsNoMoreToShare) {
  std::vector<std::string> said;
  SharedHeap heap([&](const Error& why) { said.push_back(why.message); });
  const auto shared = heap.floats(100);
  std::shared_ptr<float[]> large, larger;
  {
    const test::FileSizeLimit limit(rlim_t{300} << 20);
    large = heap.floats((std::size_t{400} << 20) / sizeof(float));
    larger = heap.floats((std::size_t{500} << 20) / sizeof(float));
  }
  large[0] = 1.0f;
  EXPECT_TRUE(heap.find(std::as_bytes(std::span(shared.get(), 1))));
  EXPECT_FALSE(heap.find(std::as_bytes(std::span(large.get(), 1))));
  EXPECT_FALSE(heap.find(std::as_bytes(std::span(larger.get(), 1))));
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("of shared memory: File too large"), std::string::npos) << said[0];
}

TEST(SharedMemory, AdoptsWhatIsEmptyAndIsThereWhenItIsGone) {
  Descriptor holders(::memfd_create("rubato-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const auto dup = [&] { return Descriptor(::dup(holders.number())); };
  EXPECT_FALSE(SharedMemory::map(dup(), SharedMemory::Access::kRead).ok()) << "nobody has sized it";
  {
    const SharedMemory memory = SharedMemory::adopt(dup(), 1 << 20).value();
    memory.bytes()[5000] = std::byte{7};
  }
  const auto again = SharedMemory::adopt(dup(), 1 << 20);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().message, "expected an empty memfd, found 1048576 bytes in it");
  EXPECT_FALSE(SharedMemory::adopt(Descriptor(::open("/dev/null", O_RDWR)), 1 << 20).ok());
  const SharedMemory found = SharedMemory::map(std::move(holders), SharedMemory::Access::kRead).value();
  EXPECT_EQ(found.bytes()[5000], std::byte{7});
}

TEST(SharedHeap, LiesInHeldMemoryAsLongAsThereIsRoom) {
  constexpr std::size_t kBytes = 1 << 20, kFirst = 4096;
  SharedHeap heap(SharedMemory::create("rubato-test", kBytes).value(), kFirst);
  ASSERT_EQ(heap.held().size(), kBytes);
  const auto block = heap.floats(100);
  EXPECT_EQ(reinterpret_cast<std::byte*>(block.get()) - heap.held().data(), static_cast<std::ptrdiff_t>(kFirst));
  EXPECT_EQ(heap.find(std::as_bytes(std::span(block.get(), 1)))->segment, 0u);
  const auto larger = heap.floats(kBytes / sizeof(float));
  EXPECT_EQ(heap.find(std::as_bytes(std::span(larger.get(), 1)))->segment, 1u);
  EXPECT_TRUE(SharedHeap().held().empty());
}

TEST(SharedHeap, BlocksOutliveIt) {
  auto heap = std::make_unique<SharedHeap>();
  const auto block = heap->floats(1000);
  heap.reset();
  std::fill_n(block.get(), 1000, 2.0f);
  EXPECT_EQ(std::accumulate(block.get(), block.get() + 1000, 0.0f), 2000.0f);
}

struct RingPair {
  RingControl control{};
  std::vector<std::byte> data;
  RingWriter writer;
  RingReader reader;
  explicit RingPair(std::size_t bytes) : data(bytes), writer(control, data), reader(control, data) {}
};

bool write(RingWriter& writer, std::size_t bytes, std::byte value) {
  const auto record = writer.reserve(bytes);
  if (record.empty()) return false;
  std::ranges::fill(record, value);
  (void)writer.publish();
  return true;
}

TEST(Ring, RecordsComeInOrderWholeAndRoundTheEnd) {
  RingPair pair(1024);
  std::uint8_t written = 0, read = 0;
  for (int round = 0; round < 1000; ++round) {
    while (write(pair.writer, 1 + (written * 37) % pair.writer.record_max(), std::byte{written})) ++written;
    for (auto record = pair.reader.look(); !record.empty(); record = pair.reader.look()) {
      ASSERT_EQ(record.size(), 1 + (read * 37) % pair.writer.record_max());
      ASSERT_TRUE(std::ranges::all_of(record, [&](std::byte byte) { return byte == std::byte{read}; }));
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(record.data()) % 8, 0u);
      pair.reader.take();
      ++read;
    }
    (void)pair.reader.give_room();
    ASSERT_EQ(read, written);
  }
}

TEST(Ring, ASleeperIsWokenOnceAndAStarvedWriterToo) {
  RingPair pair(1024);
  ASSERT_TRUE(pair.reader.fall_asleep());
  (void)pair.writer.reserve(8);
  EXPECT_TRUE(pair.writer.publish()) << "it slept";
  (void)pair.writer.reserve(8);
  EXPECT_FALSE(pair.writer.publish()) << "it was told";
  EXPECT_FALSE(pair.reader.fall_asleep()) << "there is something";
  while (write(pair.writer, 200, std::byte{1})) {
  }
  for (int record = 0; record < 3; ++record) {  // the two small ones, and one of those that fill the ring
    ASSERT_FALSE(pair.reader.look().empty());
    pair.reader.take();
  }
  EXPECT_FALSE(write(pair.writer, 200, std::byte{1})) << "the room of what was taken is not given back yet";
  EXPECT_TRUE(pair.reader.give_room()) << "the writer waits for room";
  EXPECT_FALSE(pair.reader.give_room()) << "it was given";
  EXPECT_TRUE(write(pair.writer, 200, std::byte{1}));
  ASSERT_FALSE(pair.reader.look().empty());
  pair.reader.take();
  EXPECT_FALSE(pair.reader.give_room()) << "the writer does not wait";
}

TEST(Ring, NumbersThatCannotBeBreakTheReaderAndNothingElse) {
  const auto broken_by = [](auto spoil) {
    RingPair pair(1024);
    EXPECT_TRUE(write(pair.writer, 100, std::byte{1}));
    spoil(pair);
    while (!pair.reader.look().empty()) pair.reader.take();
    EXPECT_TRUE(pair.reader.look().empty());
    return pair.reader.broken();
  };
  const auto size = [](std::uint64_t value) {
    return [value](RingPair& pair) { std::memcpy(pair.data.data(), &value, sizeof(value)); };
  };
  EXPECT_FALSE(broken_by([](RingPair&) {}));
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{105}, std::uint64_t{257}, std::uint64_t{1} << 40, ring::kSkip - 1, ring::kSkip})
    EXPECT_TRUE(broken_by(size(value))) << value;
  EXPECT_TRUE(broken_by([](RingPair& pair) { pair.control.tail.store(1032); })) << "more than the ring holds";
  EXPECT_TRUE(broken_by([](RingPair& pair) { pair.control.tail.store(~std::uint64_t{0}); }));
}

TEST(Ring, TwoThreads) {
  constexpr int kRecords = 200'000;
  RingPair pair(4096);
  std::thread writer([&] {
    std::mt19937 random(1);
    for (int i = 0; i < kRecords; ++i) {
      const std::size_t size = sizeof(int) + random() % 300;
      std::span<std::byte> record;
      while ((record = pair.writer.reserve(size)).empty()) std::this_thread::yield();
      std::ranges::fill(record, static_cast<std::byte>(i));
      std::memcpy(record.data(), &i, sizeof(i));
      (void)pair.writer.publish();
    }
  });
  std::mt19937 random(1);
  int bad = 0;
  for (int i = 0; i < kRecords; ++i) {
    std::span<const std::byte> record;
    while ((record = pair.reader.look()).empty()) {
      (void)pair.reader.give_room();
      std::this_thread::yield();
    }
    int number = 0;
    std::memcpy(&number, record.data(), sizeof(number));
    const auto rest = record.subspan(sizeof(int));
    bad += number != i || record.size() != sizeof(int) + random() % 300 ||
           !std::ranges::all_of(rest, [&](std::byte byte) { return byte == static_cast<std::byte>(i); });
    pair.reader.take();
  }
  writer.join();
  EXPECT_EQ(bad, 0);
}

TEST(Loans, AreKeptUntilGivenBack) {
  std::vector<LoanWord> words(4);
  Loans loans(words);
  const auto owner = std::make_shared<std::vector<std::byte>>(100);
  const Payload payload(owner, *owner);
  std::vector<std::uint32_t> lent;
  for (int i = 0; i < 4; ++i) lent.push_back(loans.lend(Payload(payload)).value());
  Payload left = payload;
  EXPECT_FALSE(loans.lend(std::move(left))) << "everything is lent";
  EXPECT_EQ(left.size(), 100u) << "so it is left where it was";
  left = {};
  EXPECT_EQ(owner.use_count(), 2 + 4);
  give_back(words[lent[2]]);  // not the oldest
  EXPECT_EQ(owner.use_count(), 2 + 4) << "nobody looked";
  loans.collect();
  EXPECT_EQ(owner.use_count(), 2 + 4) << "the oldest is out still";
  loans.search();
  EXPECT_EQ(owner.use_count(), 2 + 3);
  EXPECT_EQ(loans.outstanding(), 3u);
  const auto again = loans.lend(Payload(payload));
  EXPECT_EQ(again, lent[2]);
  EXPECT_EQ(loans.take_back(*again).size(), 100u);
  EXPECT_EQ(owner.use_count(), 2 + 3);
  EXPECT_EQ(loans.lend(Payload(payload)), lent[2]);
  for (const std::uint32_t loan : lent) give_back(words[loan]);
  loans.collect();
  EXPECT_EQ(loans.outstanding(), 0u);
  EXPECT_EQ(owner.use_count(), 2);
}

}  // namespace
}  // namespace rubato::transport
