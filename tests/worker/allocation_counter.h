// Counts calls of operator new on one thread, in a program that links allocation_counter.cc.
//
// Thread-safety: each thread has its own counts and sees its own calls.
#pragma once

namespace rubato::test {

struct Allocations {
  int ours = 0;          // called from the program itself
  int of_libraries = 0;  // from a shared library: oneDNN makes some inside an execution
};

class AllocationCounter {
 public:
  AllocationCounter();  // from now on, from nothing
  ~AllocationCounter();
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;
  [[nodiscard]] Allocations count() const;
};

}  // namespace rubato::test
