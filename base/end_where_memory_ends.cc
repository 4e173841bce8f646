// How a process ends where an allocation fails that nobody expected to. What it was for only its thread's name can
// tell, and how much, only who allocates: so `new` is ours, which throws a bad_alloc that knows.
#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <new>

#include "base/counted.h"
#include "base/log.h"
#include "base/out_of_memory.h"

namespace rubato {
namespace {

struct RefusedAllocation : std::bad_alloc {
  explicit RefusedAllocation(std::size_t wanted) : bytes(wanted) {}
  const std::size_t bytes;
};

const std::terminate_handler kAsWithoutUs = std::get_terminate();

std::string thread_text() {
  std::array<char, 16> name{};
  (void)::pthread_getname_np(::pthread_self(), name.data(), name.size());
  return fmt::format("on the thread \"{}\"", name.data());
}

[[noreturn]] void end_for(const std::string& wanted) {
  log::error("not enough memory: {} {}, and {}, or use a smaller model, smaller batches, or more machines", wanted,
             thread_text(), memory_limit_text());
  std::_Exit(static_cast<int>(Cause::kMemory));
}

[[noreturn]] void end_of_thread() {
  try {
    if (const std::exception_ptr cause = std::current_exception()) std::rethrow_exception(cause);
  } catch (const RefusedAllocation& refused) {
    end_for(mebibytes(refused.bytes) + " more are wanted");
  } catch (const std::bad_alloc&) {
    end_for("more is wanted");
  } catch (...) {
    kAsWithoutUs();
  }
  kAsWithoutUs();
  std::abort();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* allocate(std::size_t bytes, std::size_t alignment) {
  const bool usual = alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  const std::size_t size = std::max<std::size_t>(bytes, 1), rounded = (size + alignment - 1) / alignment * alignment;
  // What is rounded to nothing was more than there are numbers for.
  void* const memory = usual ? std::malloc(size) : rounded >= size ? std::aligned_alloc(alignment, rounded) : nullptr;
  if (memory == nullptr) throw RefusedAllocation(bytes);
  return memory;
}
#endif

}  // namespace

void end_where_memory_ends() { std::set_terminate(end_of_thread); }

}  // namespace rubato

// Sanitizers have their own. The forms that are not here call these.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* operator new(std::size_t bytes) { return rubato::allocate(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return rubato::allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif
