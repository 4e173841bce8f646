#include "base/out_of_memory.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <exception>
#include <new>

#include "base/counted.h"
#include "base/log.h"
#include "base/processor.h"

namespace rubato {
namespace {

// What this process may take, as far as it can know: of a container's limit the system tells it nothing.
std::string limit_text() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    return fmt::format("this process may take {} in all (ulimit -v): raise that", mebibytes(limit.rlim_cur));
  return fmt::format("the system gives no more, of {} of this machine: free some", mebibytes(physical_memory_bytes()));
}

const std::terminate_handler kAsWithoutUs = std::get_terminate();

[[noreturn]] void end_of_thread() {
  try {
    if (const std::exception_ptr cause = std::current_exception()) std::rethrow_exception(cause);
  } catch (const std::bad_alloc&) {
    log::error("not enough memory: {}, or use a smaller model, smaller batches, or more machines", limit_text());
    std::_Exit(static_cast<int>(Cause::kMemory));
  } catch (...) {
    kAsWithoutUs();
  }
  kAsWithoutUs();
  std::abort();
}

}  // namespace

Error out_of_memory(std::uint64_t bytes, std::string_view what, std::string_view remedy) {
  return {Cause::kMemory, fmt::format("not enough memory: {} are wanted for {}, and {}, or {}", mebibytes(bytes), what,
                                      limit_text(), remedy)};
}

void end_where_memory_ends() { std::set_terminate(end_of_thread); }

}  // namespace rubato
