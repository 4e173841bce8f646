// Reads a file of recorded step times (base/stragglers.h says how it looks).
//
// Thread-safety: a pure function, the file system aside.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace rubato {

// The steps of each worker, in order of the workers' numbers. Errors: kData, naming file and line.
[[nodiscard]] Result<std::vector<std::vector<TimeNs>>> read_straggler_trace(const std::string& path);

}  // namespace rubato
