// Flat float arrays that are used again. An arena may be written while nobody else refers to it: whoever
// still has a Payload of it (a push that is not acknowledged, a transport that has not sent it) keeps its
// bytes as they are, and the pool hands out another one.
//
// Thread-safety: a pool belongs to one thread; Payloads of its arenas may be dropped on any.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace rubato::worker {

class Arena {
 public:
  explicit Arena(std::size_t floats)
      : data_(static_cast<float*>(::operator new(bytes(floats), kAlign))), floats_(floats) {
    std::uninitialized_fill_n(data_, floats, 0.0f);
  }
  ~Arena() { ::operator delete(data_, kAlign); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] std::span<float> part(std::size_t first, std::size_t count) { return {data_ + first, count}; }
  [[nodiscard]] std::span<const float> part(std::size_t first, std::size_t count) const {
    return {data_ + first, count};
  }

 private:
  static constexpr std::align_val_t kAlign{64};
  static std::size_t bytes(std::size_t floats) { return (floats > 0 ? floats : 1) * sizeof(float); }
  float* data_;
  std::size_t floats_;
};

using ArenaRef = std::shared_ptr<Arena>;

class ArenaPool {
 public:
  explicit ArenaPool(std::size_t floats) : floats_(floats) {}

  [[nodiscard]] ArenaRef take() {
    for (const ArenaRef& arena : arenas_)
      if (arena.use_count() == 1) {
        // use_count is relaxed: make what the last reader did happen before what is written now.
        std::atomic_thread_fence(std::memory_order_acquire);
        return arena;
      }
    arenas_.push_back(std::make_shared<Arena>(floats_));
    return arenas_.back();
  }
  [[nodiscard]] std::size_t allocated() const { return arenas_.size(); }

 private:
  std::size_t floats_;
  std::vector<ArenaRef> arenas_;
};

}  // namespace rubato::worker
