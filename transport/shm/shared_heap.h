// Memory of this process that others of its host may read where it lies: gradients, slots of weights. What is
// allocated here and sent as the body of a frame goes through the shared-memory lane as a place, without a copy.
//
// Blocks are cut one after the other from segments, at multiples of a cache line, and are given back to the system
// when the heap and every block are gone: what lives here lives about as long as its job. Segments take memory only
// where they are touched. Where the system gives no more shared memory, blocks are private, and what is sent from
// there is copied.
//
// Thread-safety: from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "base/memory.h"
#include "transport/shm/shared_memory.h"

namespace rubato::transport {

class SharedHeap final : public Memory {
 public:
  static constexpr std::size_t kSegmentBytes = std::size_t{256} << 20;  // of one segment at least
  static constexpr std::size_t kSegmentsMax = 1024;

  SharedHeap() = default;
  // `on_private` hears once, on whatever thread it happens, why blocks are private from now on.
  explicit SharedHeap(std::function<void(const Error& why)> on_private) : on_private_(std::move(on_private)) {}
  // The first segment is memory that another process holds too. Its first bytes, whole cache lines, are somebody
  // else's.
  SharedHeap(SharedMemory held, std::size_t first, std::function<void(const Error& why)> on_private = {});

  [[nodiscard]] std::shared_ptr<float[]> floats(std::size_t count) override;
  [[nodiscard]] std::span<std::byte> held() const override { return held_; }

  // Where bytes lie, if it is here. Segments are numbered from 0 on, and last as long as the heap.
  struct Place {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
  };
  [[nodiscard]] std::optional<Place> find(std::span<const std::byte> bytes) const;
  [[nodiscard]] const Descriptor& descriptor(std::uint32_t segment) const { return segments_[segment]->descriptor(); }

 private:
  [[nodiscard]] Status grow(std::size_t bytes);
  void make_huge(const SharedMemory& segment);

  std::mutex growing_;
  std::function<void(const Error&)> on_private_;
  std::span<std::byte> held_;
  bool exhausted_ = false;
  std::array<std::shared_ptr<SharedMemory>, kSegmentsMax> segments_;
  std::atomic<std::uint32_t> count_ = 0;  // segments below it never change any more
  std::size_t used_ = 0;                  // bytes of the last one
  std::size_t huge_ = 0;                  // of those, bytes that huge pages were asked for
  bool no_huge_pages_ = false;            // there are none
};

}  // namespace rubato::transport
