#include "base/out_of_memory.h"

#include <fmt/format.h>

#include "base/counted.h"
#include "base/processor.h"

namespace rubato {

std::string memory_limit_text() {
  if (const std::uint64_t limit = address_limit_bytes(); limit != kNoLimit)
    return fmt::format("this process may take {} in all (ulimit -v): raise that", mebibytes(limit));
  return fmt::format("the system gives no more, of {} of this machine: free some", mebibytes(physical_memory_bytes()));
}

Error out_of_memory(std::uint64_t bytes, std::string_view what, std::string_view remedy) {
  return {Cause::kMemory, fmt::format("not enough memory: {} are wanted for {}, and {}, or {}", mebibytes(bytes), what,
                                      memory_limit_text(), remedy)};
}

}  // namespace rubato
