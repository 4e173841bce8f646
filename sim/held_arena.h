// Memory that outlives a simulated server: as what the launcher holds for real ones, in this process. Blocks are cut
// one behind the other; it takes what is written there.
//
// Thread-safety: none.
#pragma once

#include <sys/mman.h>

#include <memory>
#include <new>
#include <span>

#include "base/check.h"
#include "base/memory.h"

namespace rubato::sim {

class HeldArena final : public Memory {
 public:
  // Its first bytes are somebody else's.
  HeldArena(std::size_t bytes, std::size_t first) : used_(first) {
    void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    RUBATO_CHECK(start != MAP_FAILED, "no address for {} bytes", bytes);
    bytes_ = {static_cast<std::byte*>(start), bytes};
  }
  ~HeldArena() override { ::munmap(bytes_.data(), bytes_.size()); }
  HeldArena(const HeldArena&) = delete;
  HeldArena& operator=(const HeldArena&) = delete;

  // The arena outlives its blocks.
  [[nodiscard]] std::shared_ptr<float[]> floats(std::size_t count) override {
    const std::size_t bytes = (count * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    if (bytes > bytes_.size() - used_) throw std::bad_alloc();
    auto* block = reinterpret_cast<float*>(bytes_.data() + used_);
    used_ += bytes;
    return {block, [](float*) {}};
  }
  [[nodiscard]] std::span<std::byte> held() const override { return bytes_; }

 private:
  std::span<std::byte> bytes_;
  std::size_t used_;
};

}  // namespace rubato::sim
