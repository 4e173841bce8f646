// The cache of one processor core, as far as loops that only pass over memory have to know it: what lies there, and
// ways to write that say whether it does. None of it changes a result.
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>

namespace rubato::kernels::cpu {

inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::size_t kLineFloats = kCacheLine / sizeof(float);

// Elements that are updated at a time: few enough that several planes of them stay in the innermost cache. How far
// ahead of its turn a piece is asked for. Both by trial (docs/decisions/how-slots-are-written.md).
inline constexpr std::size_t kPiece = 128, kAhead = 2 * kPiece;

// How many bytes may pass after a line was read until a loop had better write it past the caches than into them: on
// Intel's processors the cache that a core has for itself (the L2), on AMD's, whose shared cache takes what leaves that
// one, a quarter of the shared one, which other cores fill too. 1 MiB where the system does not say.
[[nodiscard]] std::size_t kept_cache_bytes();

// Whether a loop that only passes over memory is the faster for asking for lines ahead of itself. Intel's processors do
// not fetch beyond the end of a page by themselves; AMD's have as many lines under way as they can, and lose up to half
// of their rate to what asking costs (docs/decisions/how-slots-are-written.md).
[[nodiscard]] bool asking_pays();

// Asks for the line of `at`, which is to be read, or written, soon.
inline void prefetch_for_reading(const float* at) { __builtin_prefetch(at, 0, 3); }
inline void prefetch_for_writing(const float* at) { __builtin_prefetch(at, 1, 3); }

// to[i] = from[i], without a place in the cache for `to` where the processor can do that and `to` lies on a line's
// start. Others may see it late, so whoever publishes it calls settle_writes_past_cache() first.
void write_past_cache(float* to, const float* from, std::size_t count);
void settle_writes_past_cache();

}  // namespace rubato::kernels::cpu
