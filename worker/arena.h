// Flat float arrays that are used again. An arena may be written while nobody else refers to it: whoever
// still has a Payload of it (a push that is not acknowledged, a transport that has not sent it) keeps its
// bytes as they are, and the pool hands out another one.
//
// Thread-safety: a pool belongs to one thread; Payloads of its arenas may be dropped on any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/memory.h"

namespace rubato::worker {

class Arena {
 public:
  // Whether all pages that it lies in are its own.
  enum class Place : std::uint8_t { kAnywhere, kWholePages };

  explicit Arena(std::size_t floats, Place place = Place::kAnywhere)
      : Arena(floats, PrivateMemory().floats(room_for(floats, place)), place) {}
  Arena(std::size_t floats, Memory& memory, Place place = Place::kAnywhere)
      : Arena(floats, memory.floats(room_for(floats, place)), place) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] std::span<float> part(std::size_t first, std::size_t count) { return {data_ + first, count}; }
  [[nodiscard]] std::span<const float> part(std::size_t first, std::size_t count) const {
    return {data_ + first, count};
  }
  // Its own, if it lies in such.
  [[nodiscard]] std::span<std::byte> whole_pages() {
    return std::as_writable_bytes(std::span(data_, whole_pages_for(floats_)));
  }

 private:
  static constexpr std::size_t kPageFloats = 4096 / sizeof(float);

  Arena(std::size_t floats, std::shared_ptr<float[]> room, Place place)
      : floats_(floats), room_(std::move(room)), data_(begin_in(room_.get(), place)) {}

  static std::size_t whole_pages_for(std::size_t floats) {
    return (floats + kPageFloats - 1) / kPageFloats * kPageFloats;
  }
  static std::size_t room_for(std::size_t floats, Place place) {
    return place == Place::kAnywhere ? floats : whole_pages_for(floats) + kPageFloats;
  }
  static float* begin_in(float* room, Place place) {
    if (place == Place::kAnywhere) return room;
    const std::size_t into = reinterpret_cast<std::uintptr_t>(room) / sizeof(float) % kPageFloats;
    return room + (kPageFloats - into) % kPageFloats;
  }

  const std::size_t floats_;
  const std::shared_ptr<float[]> room_;
  float* const data_;
};

using ArenaRef = std::shared_ptr<Arena>;

class ArenaPool {
 public:
  // `memory`: nothing is memory of this process alone.
  explicit ArenaPool(std::size_t floats, std::shared_ptr<Memory> memory = nullptr,
                     Arena::Place place = Arena::Place::kAnywhere)
      : floats_(floats), memory_(memory ? std::move(memory) : std::make_shared<PrivateMemory>()), place_(place) {}

  [[nodiscard]] ArenaRef take() {
    for (const ArenaRef& arena : arenas_)
      if (arena.use_count() == 1) {
        // use_count is relaxed: make what the last reader did happen before what is written now.
        std::atomic_thread_fence(std::memory_order_acquire);
        return arena;
      }
    arenas_.push_back(std::make_shared<Arena>(floats_, *memory_, place_));
    return arenas_.back();
  }
  [[nodiscard]] std::size_t allocated() const { return arenas_.size(); }

 private:
  std::size_t floats_;
  std::shared_ptr<Memory> memory_;
  const Arena::Place place_;
  std::vector<ArenaRef> arenas_;
};

}  // namespace rubato::worker
