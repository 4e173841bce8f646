// A ring of records in memory that two processes share: one writes, one reads, nobody locks.
//
// Records are runs of up to a quarter of the ring, each in one piece; what does not fit before the end of the ring
// begins again at its start. The writer publishes a record with one store of `tail`, the reader gives the room of
// several back with one of `head`.
//
// Sleeping. A reader that finds nothing says so in `asleep` and looks once more; a writer that has published looks
// at `asleep` and, if it takes it down, owes the reader a wake-up (what wakes is the caller's business). A writer
// that finds no room does the same in `starved`. What either side writes and then looks at is sequentially
// consistent, so that of two that look at each other at the same time at least one sees the other. (No fences: the
// thread sanitizer does not know them.)
//
// A reader trusts no number that it reads here: a record that cannot be is an error, and ends the connection.
//
// Thread-safety: a RingWriter belongs to one thread, a RingReader to one thread, of the same or another process.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "base/check.h"

namespace rubato::transport {

struct RingControl {
  alignas(64) std::atomic<std::uint64_t> tail;  // bytes published since the beginning
  alignas(64) std::atomic<std::uint64_t> head;  // bytes given back
  alignas(64) std::atomic<std::uint32_t> asleep;
  alignas(64) std::atomic<std::uint32_t> starved;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// A record lies behind the 8 bytes of its size, padded to 8 bytes.
namespace ring {
inline constexpr std::size_t kSizeBytes = 8;
inline constexpr std::uint64_t kSkip = ~std::uint64_t{0};  // instead of a size: go on at the start
[[nodiscard]] constexpr std::size_t room_for(std::size_t record) { return kSizeBytes + (record + 7) / 8 * 8; }
}  // namespace ring

class RingWriter {
 public:
  // `data` has a size that is a power of two.
  RingWriter(RingControl& control, std::span<std::byte> data) : control_(control), data_(data) {}

  [[nodiscard]] std::size_t record_max() const { return data_.size() / 4 - ring::kSizeBytes; }

  // Room for a record, to be filled and then published; empty if there is none now, and `starved` says so.
  [[nodiscard]] std::span<std::byte> reserve(std::size_t bytes) {
    RUBATO_CHECK(bytes <= record_max(), "a record of {} bytes in a ring of {}", bytes, data_.size());
    if (!fits(bytes)) {
      control_.starved.store(1);
      if (!fits(bytes)) return {};
      control_.starved.store(0);
    }
    std::size_t at = static_cast<std::size_t>(tail_ & (data_.size() - 1));
    if (data_.size() - at < ring::room_for(bytes)) {
      put_size(at, ring::kSkip);
      tail_ += data_.size() - at;
      at = 0;
    }
    put_size(at, bytes);
    tail_ += ring::room_for(bytes);
    return data_.subspan(at + ring::kSizeBytes, bytes);
  }
  // Whether the reader is to be woken.
  [[nodiscard]] bool publish() {
    control_.tail.store(tail_);
    return control_.asleep.load() != 0 && control_.asleep.exchange(0) != 0;
  }

 private:
  [[nodiscard]] bool fits(std::size_t bytes) {
    const std::size_t at = static_cast<std::size_t>(tail_ & (data_.size() - 1));
    std::size_t needed = ring::room_for(bytes);
    if (data_.size() - at < needed) needed += data_.size() - at;
    if (tail_ + needed - head_ <= data_.size()) return true;
    head_ = control_.head.load();
    return tail_ + needed - head_ <= data_.size();
  }
  void put_size(std::size_t at, std::uint64_t size) { std::memcpy(data_.data() + at, &size, sizeof(size)); }

  RingControl& control_;
  std::span<std::byte> data_;
  std::uint64_t tail_ = 0;
  std::uint64_t head_ = 0;  // as it was last seen
};

class RingReader {
 public:
  RingReader(RingControl& control, std::span<const std::byte> data) : control_(control), data_(data) {}

  // The next record, where it lies, until take() is called; empty if there is none, or, for good, after an error.
  [[nodiscard]] std::span<const std::byte> look() {
    while (!broken_) {
      if (head_ == tail_) {
        tail_ = control_.tail.load(std::memory_order_acquire);
        if (head_ == tail_) return {};
        if (tail_ - head_ > data_.size()) break;
      }
      const std::size_t at = static_cast<std::size_t>(head_ & (data_.size() - 1));
      std::uint64_t size = 0;
      std::memcpy(&size, data_.data() + at, sizeof(size));
      if (size == ring::kSkip) {
        if (tail_ - head_ < data_.size() - at) break;
        head_ += data_.size() - at;
        continue;
      }
      if (size == 0 || size > data_.size() / 4) break;
      const std::size_t room = ring::room_for(static_cast<std::size_t>(size));
      if (room > data_.size() - at || room > tail_ - head_) break;
      taking_ = room;
      return data_.subspan(at + ring::kSizeBytes, static_cast<std::size_t>(size));
    }
    broken_ = true;
    return {};
  }
  // The record that was looked at is done with.
  void take() { head_ += std::exchange(taking_, 0); }
  // Gives the room of all that was taken back: before this reader waits for anything, for the writer may wait for that
  // room. Whether it does, and is to be woken.
  [[nodiscard]] bool give_room() {
    if (given_ == head_) return false;
    given_ = head_;
    control_.head.store(head_);
    return control_.starved.load() != 0 && control_.starved.exchange(0) != 0;
  }

  // Whether look() would find something. Only looks, for those who do little else.
  [[nodiscard]] bool ready() const { return control_.tail.load(std::memory_order_relaxed) != head_; }

  // False if a record came meanwhile: read on. Otherwise the next publish() says that this reader is to be woken.
  [[nodiscard]] bool fall_asleep() {
    control_.asleep.store(1);
    if (control_.tail.load() == head_) return true;
    stay_awake();
    return false;
  }
  // Reads on by itself: nobody has to wake it.
  void stay_awake() { control_.asleep.store(0); }
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  RingControl& control_;
  std::span<const std::byte> data_;
  std::uint64_t head_ = 0;
  std::uint64_t given_ = 0;  // of which the writer knows
  std::uint64_t tail_ = 0;   // as it was last seen
  std::size_t taking_ = 0;
  bool broken_ = false;
};

}  // namespace rubato::transport
