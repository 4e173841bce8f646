// What this machine computes with.
#pragma once

#include <string>

namespace rubato {

// "AMD EPYC 9R14 96-Core Processor", as the system has it.
[[nodiscard]] std::string processor_name();

}  // namespace rubato
