// Cutting a run of samples into parts that differ by at most one: the shares of workers, the leaves of
// a batch.
//
// Part `index` of `parts` is a pure function, so everybody who must agree computes it alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/check.h"

namespace rubato {

struct Part {
  std::uint64_t first = 0, count = 0;
  friend bool operator==(const Part&, const Part&) = default;
};

// The first `total % parts` parts are the longer ones. Where parts > total, the last ones are empty;
// they still stand where they would begin.
[[nodiscard]] constexpr Part share(std::uint64_t total, std::uint64_t parts, std::uint64_t index) {
  RUBATO_CHECK(index < parts, "part {} of {}", index, parts);
  const std::uint64_t size = total / parts, longer = total % parts;
  return {index * size + std::min(index, longer), size + (index < longer ? 1 : 0)};
}

// Leaf `index` of the `leaves` leaves of a batch, in the same positions as the batch itself.
[[nodiscard]] constexpr Part leaf_of_batch(Part batch, std::uint64_t leaves, std::uint64_t index) {
  const Part leaf = share(batch.count, leaves, index);
  return {batch.first + leaf.first, leaf.count};
}

}  // namespace rubato
