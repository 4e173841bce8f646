// Flat float arrays that are used again. An arena may be written while nobody else refers to it: whoever
// still has a Payload of it (a push that is not acknowledged, a transport that has not sent it) keeps its
// bytes as they are, and the pool hands out another one.
//
// Thread-safety: a pool belongs to one thread; Payloads of its arenas may be dropped on any.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/memory.h"

namespace rubato::worker {

class Arena {
 public:
  explicit Arena(std::size_t floats) : data_(PrivateMemory().floats(floats)) {}
  Arena(std::size_t floats, Memory& memory) : data_(memory.floats(floats)) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] std::span<float> part(std::size_t first, std::size_t count) { return {data_.get() + first, count}; }
  [[nodiscard]] std::span<const float> part(std::size_t first, std::size_t count) const {
    return {data_.get() + first, count};
  }

 private:
  std::shared_ptr<float[]> data_;
};

using ArenaRef = std::shared_ptr<Arena>;

class ArenaPool {
 public:
  // `memory`: nothing is memory of this process alone.
  explicit ArenaPool(std::size_t floats, std::shared_ptr<Memory> memory = nullptr)
      : floats_(floats), memory_(memory ? std::move(memory) : std::make_shared<PrivateMemory>()) {}

  [[nodiscard]] ArenaRef take() {
    for (const ArenaRef& arena : arenas_)
      if (arena.use_count() == 1) {
        // use_count is relaxed: make what the last reader did happen before what is written now.
        std::atomic_thread_fence(std::memory_order_acquire);
        return arena;
      }
    arenas_.push_back(std::make_shared<Arena>(floats_, *memory_));
    return arenas_.back();
  }
  [[nodiscard]] std::size_t allocated() const { return arenas_.size(); }

 private:
  std::size_t floats_;
  std::shared_ptr<Memory> memory_;
  std::vector<ArenaRef> arenas_;
};

}  // namespace rubato::worker
