// Where tensors lie that are needed for a while each: tenants whose times do not overlap share memory.
//
// Greedy by size (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020): the largest
// tenant first, each at the lowest place that is free for all of its time.
//
// Thread-safety: pure.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace rubato::model {

struct Tenant {
  std::size_t bytes = 0;
  std::size_t first = 0, last = 0;  // moments, in any unit; both within its time
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  // of the tenants, in their order; multiples of two cache lines
  std::size_t bytes = 0;
};

[[nodiscard]] MemoryPlan plan_memory(std::span<const Tenant> tenants);

}  // namespace rubato::model
