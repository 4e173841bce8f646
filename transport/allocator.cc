#include "transport/allocator.h"

#include <malloc.h>

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
