// Where the system gives a process less memory than it wants: what is said of that, and how the process ends.
//
// Who knows what the memory was for catches std::bad_alloc and returns such an Error, so that the job hears of it. All
// else, on whatever thread, ends the process in one line and with the same exit code: it is no bug of ours.
//
// Thread-safety: any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace rubato {

// "not enough memory: 3433.2 MiB are wanted for WHAT, and this process may take 2929.7 MiB in all (ulimit -v): raise
// that, or REMEDY".
[[nodiscard]] Error out_of_memory(std::uint64_t bytes, std::string_view what, std::string_view remedy);

// For main, once, after the log is open.
void end_where_memory_ends();

}  // namespace rubato
