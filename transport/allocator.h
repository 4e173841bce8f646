// glibc's allocator, set up for a process that sends and receives messages of megabytes.
#pragma once

namespace rubato::transport {

// Called by each main before its first thread. By default glibc maps and unmaps every block of 128 KiB
// or more, and gives memory at the top of the heap back to the kernel: each large message then pays
// some 129 page faults a MiB, which halves the throughput of pushes. This keeps large blocks on the
// heap. The price is memory that stays with the process after a peak.
void tune_allocator();

}  // namespace rubato::transport
