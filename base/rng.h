// Random numbers by name: the key of a stream says what it is for, and Philox (base/philox.h) what comes at which place
// of it. Initial weights are drawn by (parameter, element), dropout by (sample, element), permutations by epoch.
//
// Thread-safety: stream_key is pure; a RandomStream belongs to one owner.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/philox.h"

namespace rubato {

// A 64-bit key for a stream of a given purpose: FNV-1a over the name, mixed with seed and index
// (splitmix64 finalizer).
[[nodiscard]] constexpr std::uint64_t stream_key(std::uint64_t seed, std::string_view purpose,
                                                 std::uint64_t index = 0) {
  std::uint64_t h = 0xCBF29CE484222325ull;
  for (char c : purpose) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  h ^= seed * 0x9E3779B97F4A7C15ull;
  h += index * 0xD1B54A32D192ED03ull;
  h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9ull;
  h = (h ^ (h >> 27)) * 0x94D049BB133111EBull;
  return h ^ (h >> 31);
}

// A sequential reader of one Philox stream.
class RandomStream {
 public:
  explicit constexpr RandomStream(std::uint64_t key) : key_(key) {}

  constexpr std::uint32_t next_u32() {
    if (used_ == 4) {
      block_ = philox4x32(key_, counter_++, 0);
      used_ = 0;
    }
    return block_[static_cast<std::size_t>(used_++)];
  }
  constexpr std::uint64_t next_u64() {
    const std::uint64_t high = next_u32();
    return high << 32 | next_u32();
  }
  // [0, 1), 53 bits.
  constexpr double next_unit() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }
  // Uniform in [0, bound), without bias (Lemire 2019, rejection by multiplication).
  constexpr std::uint64_t below(std::uint64_t bound) {
    RUBATO_CHECK(bound > 0);
    if (bound <= 0xFFFFFFFFull) {
      const std::uint32_t b = static_cast<std::uint32_t>(bound);
      const std::uint32_t threshold = (0u - b) % b;
      for (;;) {
        const std::uint64_t m = static_cast<std::uint64_t>(next_u32()) * b;
        if (static_cast<std::uint32_t>(m) >= threshold) return m >> 32;
      }
    }
    const std::uint64_t limit = ~std::uint64_t{0} - (~std::uint64_t{0} % bound + 1) % bound;
    for (;;) {
      const std::uint64_t x = next_u64();
      if (x <= limit) return x % bound;
    }
  }
  // Standard normal (Box and Muller 1958). Uses libm's log and cos: equal on one machine and libm.
  double next_normal() {
    const double u = 1.0 - next_unit();
    const double v = next_unit();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
  PhiloxBlock block_{};
  int used_ = 4;
};

}  // namespace rubato
