// What a thread is called where the system shows threads: `top -H`, a debugger, a profiler.
//
// Thread-safety: names the thread that calls it.
#pragma once

#include <pthread.h>

namespace rubato {

// At most 15 characters.
inline void name_thread(const char* name) { ::pthread_setname_np(::pthread_self(), name); }

}  // namespace rubato
