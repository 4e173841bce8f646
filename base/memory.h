// Where large arrays of floats are allocated: in this process alone, or where others of the host can read them
// (transport/shm/shared_heap.h). Whoever allocates weights or gradients is given one of these and need not know.
//
// Thread-safety: floats() from any thread; arrays may be dropped on any thread, and keep what they lie in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace rubato {

class Memory {
 public:
  static constexpr std::size_t kAlignment = 64;  // a cache line, and the width of an AVX-512 register

  virtual ~Memory() = default;
  // Zeroed, at a multiple of kAlignment. Throws std::bad_alloc.
  [[nodiscard]] virtual std::shared_ptr<float[]> floats(std::size_t count) = 0;
  // What somebody holds beside this process, so that it outlives it, whatever becomes of it. Blocks lie there as long
  // as there is room. Empty: there is none.
  [[nodiscard]] virtual std::span<std::byte> held() const { return {}; }
};

class PrivateMemory final : public Memory {
 public:
  [[nodiscard]] std::shared_ptr<float[]> floats(std::size_t count) override {
    constexpr std::align_val_t kAlign{kAlignment};
    float* values = static_cast<float*>(::operator new(std::max<std::size_t>(count, 1) * sizeof(float), kAlign));
    std::fill_n(values, count, 0.0f);
    return {values, [](float* done) { ::operator delete (done, std::align_val_t{kAlignment}); }};
  }
};

}  // namespace rubato
