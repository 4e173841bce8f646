// What is to happen, ordered by time; at one time, in the order in which it was put in.
//
// Keys live in a binary heap and items in slots that are used again, so that sifting moves 24 bytes
// and no event allocates once the queue has seen its peak.
//
// Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/time.h"

namespace rubato::transport {

template <typename Item>
class EventQueue {
 public:
  void push(TimeNs at, Item item) {
    std::uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(slots_.size());
      slots_.push_back(std::move(item));
    } else {
      slot = free_.back();
      free_.pop_back();
      slots_[slot] = std::move(item);
    }
    heap_.push_back({at, pushed_++, slot});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  // kNever, if empty.
  [[nodiscard]] TimeNs next_time() const { return heap_.empty() ? kNever : heap_.front().at; }

  Item pop() {
    RUBATO_CHECK(!heap_.empty());
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const std::uint32_t slot = heap_.back().slot;
    heap_.pop_back();
    free_.push_back(slot);
    return std::exchange(slots_[slot], Item{});  // what the item holds must not outlive it in the slot
  }

 private:
  struct Key {
    TimeNs at;
    std::uint64_t order;
    std::uint32_t slot;
  };
  static bool later(const Key& a, const Key& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }

  std::vector<Key> heap_;
  std::vector<Item> slots_;
  std::vector<std::uint32_t> free_;
  std::uint64_t pushed_ = 0;
};

}  // namespace rubato::transport
