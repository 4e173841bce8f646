// Where the system gives a process less memory than it wants: what is said of that, and how the process ends.
//
// Who knows what the memory was for catches std::bad_alloc and returns such an Error, so that the job hears of it. All
// else, on whatever thread, ends the process in one line and with the same exit code: it is no bug of ours.
//
// Thread-safety: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rubato {

// "not enough memory: 3433.2 MiB are wanted for WHAT, and this process may take 2929.7 MiB in all (ulimit -v): raise
// that, or REMEDY".
[[nodiscard]] Error out_of_memory(std::uint64_t bytes, std::string_view what, std::string_view remedy);

// What this process may take, as far as it can know, and what to do about it: of a container's limit the system tells
// it nothing.
[[nodiscard]] std::string memory_limit_text();

// For main, once, after the log is open. Whoever links it has a `new` that knows how much it was asked for
// (base/end_where_memory_ends.cc). "not enough memory: 24.0 MiB more are wanted on the thread "reader", and ...".
void end_where_memory_ends();

}  // namespace rubato
