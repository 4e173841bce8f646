// glibc's allocator, set up for a process that sends and receives messages of megabytes.
//
// Who links this has another posix_memalign, too, which oneDNN allocates by: allocator.cc says why. (`new` is ours in
// base/end_where_memory_ends.cc.)
//
// Thread-safety: to be called before there is a second thread.
#pragma once

namespace rubato::transport {

// By default glibc maps and unmaps every block of 128 KiB
// or more, and gives memory at the top of the heap back to the kernel: each large message then pays
// some 129 page faults a MiB, which halves the throughput of pushes. This keeps large blocks on the
// heap. The price is memory that stays with the process after a peak.
void tune_allocator();

}  // namespace rubato::transport
