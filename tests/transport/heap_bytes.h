// How much of the heap is in use.
#pragma once

#include <malloc.h>

#include <cstddef>

namespace rubato::transport {

// Allocated and not freed, in blocks of any size. Sanitizers have a heap of their own, of which this says 0.
inline std::size_t heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace rubato::transport
