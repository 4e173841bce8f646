// A slot's way to a reader and back, between two threads that see the same addresses: the pool, a payload that keeps
// the slot, a ring that says where it is, and a loan that is given back. Processes, and endpoints of one process too,
// map what they share at addresses of their own, where the thread sanitizer does not know that it is the same memory.
// Here it does.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "base/ids.h"
#include "server/slot.h"
#include "transport/shm/loans.h"
#include "transport/shm/ring.h"

namespace rubato::server {
namespace {

constexpr std::size_t kFloats = 256, kLoans = 16, kRingBytes = 1024, kKept = 4;
constexpr Version kVersions = 20000;

// What two processes would share.
struct Shared {
  transport::RingControl control{};
  std::vector<std::byte> data = std::vector<std::byte>(kRingBytes);
  std::vector<transport::LoanWord> words = std::vector<transport::LoanWord>(kLoans);
};

struct Record {
  Version version = 0;
  const float* weights = nullptr;
  std::uint32_t loan = 0;
};

// Until there is something; but not asleep, so that nothing but the ring puts the threads in order.
void wait_a_moment() { std::this_thread::yield(); }

// Lends every version, as soon as there are a loan and room for it. How many slots were written again that had been
// lent.
std::size_t write_and_lend(Shared& shared) {
  const SlotPool::Bounds bounds{.slices = 1, .readers = kLoans};
  const auto pool = SlotPool::create({.elements = kFloats}, bounds).value();
  transport::RingWriter ring(shared.control, shared.data);
  transport::Loans loans(shared.words);
  std::set<const Slot*> lent;
  std::size_t reused = 0;
  for (Version version = 1; version <= kVersions; ++version) {
    SlotRef slot = pool->take();
    reused += lent.erase(slot.get());
    std::ranges::fill(slot->view().weights, static_cast<float>(version));
    std::optional<std::uint32_t> loan;
    while (!(loan = loans.lend(pinned(slot)))) wait_a_moment();
    std::span<std::byte> room;
    while ((room = ring.reserve(sizeof(Record))).empty()) wait_a_moment();
    const Record record{version, weights_of(slot).data(), *loan};
    std::memcpy(room.data(), &record, sizeof(record));
    (void)ring.publish();
    lent.insert(slot.get());
  }
  while (loans.outstanding() > 0) {
    loans.search();
    wait_a_moment();
  }
  EXPECT_EQ(pool->in_use(), 0u);
  return reused;
}

bool is_whole(const Record& record) {
  const std::span<const float> weights(record.weights, kFloats);
  return std::ranges::all_of(weights, [&](float each) { return each == static_cast<float>(record.version); });
}

// Keeps a few, and looks at each when it comes and before it is given back. How many were torn or out of order.
std::size_t read_and_give_back(Shared& shared) {
  transport::RingReader ring(shared.control, shared.data);
  std::deque<Record> kept;
  std::size_t wrong = 0;
  const auto give_oldest_back = [&] {
    wrong += is_whole(kept.front()) ? 0 : 1;
    transport::give_back(shared.words[kept.front().loan]);
    kept.pop_front();
  };
  for (Version version = 1; version <= kVersions; ++version) {
    std::span<const std::byte> found;
    while ((found = ring.look()).empty()) wait_a_moment();
    Record record;
    std::memcpy(&record, found.data(), sizeof(record));
    ring.take();
    (void)ring.give_room();
    wrong += record.version == version && is_whole(record) ? 0 : 1;
    kept.push_back(record);
    if (kept.size() > kKept) give_oldest_back();
  }
  while (!kept.empty()) give_oldest_back();
  return wrong;
}

TEST(LentSlots, AreNotWrittenBeforeTheyAreGivenBack) {
  Shared shared;
  std::size_t reused = 0;
  std::thread writer([&] { reused = write_and_lend(shared); });
  const std::size_t wrong = read_and_give_back(shared);
  writer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(reused, kVersions / 2) << "slots were not written again: this shows nothing";
}

}  // namespace
}  // namespace rubato::server
