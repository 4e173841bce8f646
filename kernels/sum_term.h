// A sum of gradients that is not made yet: its terms, and the order in which they are to be added.
//
// Float addition is not associative, so the order is part of the sum. It is a tree in postfix order: of each term
// follows how many additions come right after it, each of the two sums that stand last.
//   a + b               {a}, {b, 1}
//   (a + b) + c         {a}, {b, 1}, {c, 1}
//   (a + b) + (c + d)   {a}, {b, 1}, {c}, {d, 2}
// There is one addition less than there are terms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rubato::kernels {

// Sums that may wait for each other, at most.
inline constexpr std::size_t kSumDepth = 8;

struct SumTerm {
  std::span<const float> values;  // of all terms equally many
  std::uint32_t folds = 0;        // additions that follow
};

}  // namespace rubato::kernels
