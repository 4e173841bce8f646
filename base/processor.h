// What this machine has to compute with.
#pragma once

#include <cstdint>
#include <string>

namespace rubato {

// "AMD EPYC 9R14 96-Core Processor", as the system has it.
[[nodiscard]] std::string processor_name();

// Of the whole machine, used or not.
[[nodiscard]] std::uint64_t physical_memory_bytes();

}  // namespace rubato
