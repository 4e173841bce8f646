// Decoded images, kept up to so many bytes.
//
// What is in stays in. An epoch reads every image once, in an order of its own; whoever was read last is no sooner read
// again than anybody else, so that throwing one out for another gains nothing.
//
// Thread-safety: all of it may be called from several threads at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "data/picture.h"

namespace rubato::data {

class PictureCache {
 public:
  PictureCache(std::uint64_t pictures, std::uint64_t bytes_max);
  ~PictureCache();
  PictureCache(const PictureCache&) = delete;
  PictureCache& operator=(const PictureCache&) = delete;

  // Nothing, if it is not there. Stays valid as long as the cache.
  [[nodiscard]] const Picture* find(std::uint64_t number) const {
    return slots_[number].load(std::memory_order_acquire);
  }
  // Keeps a copy if there is room.
  void offer(std::uint64_t number, const Picture& picture);

  [[nodiscard]] std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  const std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::vector<std::atomic<const Picture*>> slots_;
};

}  // namespace rubato::data
