// Numbers on whole pages, which a device may pin: what a worker's weights and gradients lie on, for benches and tests
// that have no worker.
//
// Invariants: zeros at first; they stay where they are until it goes, and are no longer pinned before they go.
// Thread-safety: one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#include "base/result.h"
#include "kernels/backend.h"

namespace rubato::bench {

class PinnedFloats {
 public:
  explicit PinnedFloats(std::size_t floats)
      : bytes_((floats * sizeof(float) + kPage - 1) / kPage * kPage),
        floats_(static_cast<float*>(std::aligned_alloc(kPage, bytes_))) {
    RUBATO_CHECK(floats_ != nullptr, "no memory for {} bytes", bytes_);
    std::fill_n(floats_.get(), bytes_ / sizeof(float), 0.0f);
  }

  // As a worker's arenas are: only where that is of use to the device.
  Status pin(kernels::Device& device) {
    if (!device.pins_memory()) return {};
    RUBATO_ASSIGN(pinned_, device.pin(std::as_writable_bytes(std::span(floats_.get(), bytes_ / sizeof(float)))));
    return {};
  }

  [[nodiscard]] std::span<float> of(std::size_t first, std::size_t count) { return {floats_.get() + first, count}; }

 private:
  static constexpr std::size_t kPage = 4096;
  struct Free {
    void operator()(float* memory) const { std::free(memory); }
  };

  std::size_t bytes_;
  std::unique_ptr<float, Free> floats_;
  kernels::Pinned pinned_;  // goes first
};

}  // namespace rubato::bench
