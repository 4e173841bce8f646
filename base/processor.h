// What this machine computes with, in words that are equal wherever the same instructions run.
#pragma once

#include <string>

namespace rubato {

// "Intel(R) Xeon(R) Processor @ 2.90GHz, avx512f": its name, and the widest vectors that it has.
[[nodiscard]] std::string processor_description();

}  // namespace rubato
