#include "tests/worker/allocation_counter.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local bool counting = false;
thread_local rubato::test::Allocations counts;

bool called_by_us(const void* caller) {
  Dl_info here{}, there{};
  return dladdr(reinterpret_cast<const void*>(&called_by_us), &here) != 0 && dladdr(caller, &there) != 0 &&
         here.dli_fbase == there.dli_fbase;
}

void* counted(std::size_t size, std::size_t alignment, const void* caller) {
  if (counting) {
    counting = false;  // whatever dladdr does
    ++(called_by_us(caller) ? counts.ours : counts.of_libraries);
    counting = true;
  }
  const std::size_t rounded = (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// The forms that libstdc++ and its users call. The sanitizers have their own of each, so none may be left out.
void* operator new(std::size_t size) {
  return counted(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__, __builtin_return_address(0));
}
void* operator new[](std::size_t size) {
  return counted(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__, __builtin_return_address(0));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__, __builtin_return_address(0));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace rubato::test {

AllocationCounter::AllocationCounter() {
  counts = {};
  counting = true;
}
AllocationCounter::~AllocationCounter() { counting = false; }
Allocations AllocationCounter::count() const { return counts; }

}  // namespace rubato::test
