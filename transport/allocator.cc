#include "transport/allocator.h"

#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace rubato::transport {

void tune_allocator() {
  constexpr int kMiB = 1 << 20;
  ::mallopt(M_MMAP_THRESHOLD, 32 * kMiB);  // glibc refuses more
  ::mallopt(M_TRIM_THRESHOLD, 2047 * kMiB);
  ::mallopt(M_TOP_PAD, 64 * kMiB);
  // One arena: a message is allocated on an I/O thread and freed on the loop's (or the reverse), which
  // strands memory between arenas.
  ::mallopt(M_ARENA_MAX, 1);
}

}  // namespace rubato::transport

// glibc's, but that a large block begins at a multiple of 64 KiB. oneDNN asks for one in each product of matrices, to
// pack them into, at a multiple of a few cache lines. glibc cuts it out of a larger one, and what is left before and
// behind it is so small that it keeps it for its thread: then the block, once freed, is no longer as large as it was,
// and the next one like it comes from fresh memory, time and again. What is cut off before 64 KiB it gives back.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  constexpr std::size_t kLarge = std::size_t{128} << 10, kAlignment = std::size_t{64} << 10;
  const bool power = alignment % sizeof(void*) == 0 && alignment != 0 && (alignment & (alignment - 1)) == 0;
  if (!power) return EINVAL;
  void* const block = ::memalign(bytes >= kLarge ? std::max(alignment, kAlignment) : alignment, bytes);
  if (block == nullptr) return ENOMEM;
  *memory = block;
  return 0;
}
#endif
