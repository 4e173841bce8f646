#include "kernels/cpu/core_cache.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace rubato::kernels::cpu {
namespace {

#if defined(__AVX512F__)
void stream_line(float* to, const float* from) { _mm512_stream_ps(to, _mm512_loadu_ps(from)); }
#elif defined(__AVX__)
void stream_line(float* to, const float* from) {
  for (std::size_t i = 0; i < kLineFloats; i += 8) _mm256_stream_ps(to + i, _mm256_loadu_ps(from + i));
}
#elif defined(__SSE2__)
void stream_line(float* to, const float* from) {
  for (std::size_t i = 0; i < kLineFloats; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
}
#else
void stream_line(float* to, const float* from) { std::copy_n(from, kLineFloats, to); }
#endif

}  // namespace

bool asking_pays() {
#if defined(__x86_64__)
  static const bool pays = [] {
    __builtin_cpu_init();
    return __builtin_cpu_is("intel") != 0;
  }();
  return pays;
#else
  return false;
#endif
}

std::size_t kept_cache_bytes() {
  static const std::size_t bytes = [] {
    const long own = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
    const long shared = asking_pays() ? 0 : ::sysconf(_SC_LEVEL3_CACHE_SIZE) / 4;
    const long kept = std::max(own, shared);
    return kept > 0 ? static_cast<std::size_t>(kept) : std::size_t{1} << 20;
  }();
  return bytes;
}

void write_past_cache(float* to, const float* from, std::size_t count) {
  const bool on_line = reinterpret_cast<std::uintptr_t>(to) % kCacheLine == 0;
  const std::size_t lines = on_line ? count / kLineFloats : 0;
  for (std::size_t line = 0; line < lines; ++line) stream_line(to + line * kLineFloats, from + line * kLineFloats);
  std::copy(from + lines * kLineFloats, from + count, to + lines * kLineFloats);
}

void settle_writes_past_cache() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace rubato::kernels::cpu
