// What this machine has to compute with, and this process of it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace rubato {

// "AMD EPYC 9R14 96-Core Processor", as the system has it.
[[nodiscard]] std::string processor_name();

// Of the whole machine, used or not.
[[nodiscard]] std::uint64_t physical_memory_bytes();

// What this process may map in all (ulimit -v).
inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
[[nodiscard]] std::uint64_t address_limit_bytes();

}  // namespace rubato
