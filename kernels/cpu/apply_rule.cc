#include "kernels/cpu/apply_rule.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/update_rule.h"

namespace rubato::kernels::cpu {
namespace {

// The same bytes, or no common byte. In between, a loop in vectors would read what it has written.
void check_pair(std::span<const float> current, std::span<const float> next) {
  RUBATO_CHECK(current.size() == next.size(), "{} elements become {}", current.size(), next.size());
  const auto a = reinterpret_cast<std::uintptr_t>(current.data()), b = reinterpret_cast<std::uintptr_t>(next.data());
  RUBATO_CHECK(a == b || a + current.size_bytes() <= b || b + next.size_bytes() <= a, "partly overlapping");
}

// `rule` is a copy on purpose: behind a reference, its constants could be among the floats written
// here, and would be loaded again for each element.
template <typename Rule>
void update_all(Rule rule, Planes planes, std::size_t count) {
// In place, each element depends on itself alone. The compiler cannot know, and would take its scalar
// loop there.
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) update_element(rule, planes, i);
}

}  // namespace

void apply_rule(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                std::span<const float> gradient, const SlotView& next) {
  const std::size_t count = current.weights.size();
  RUBATO_CHECK(gradient.size() == count, "{} weights, {} gradients", count, gradient.size());
  check_pair(current.weights, next.weights);
  for (std::size_t plane = 0; plane < state_planes(rule.kind); ++plane) {
    RUBATO_CHECK(current.state[plane].size() == count, "{} weights, {} in state plane {}", count,
                 current.state[plane].size(), plane);
    check_pair(current.state[plane], next.state[plane]);
  }
  const Planes planes = planes_of(current, gradient, next);
  visit_rule(rule, scalars, [&](auto functor) { update_all(functor, planes, count); });
}

void sum_into(std::span<float> destination, std::span<const float> source) {
  check_pair(source, destination);
  float* sum = destination.data();
  const float* addend = source.data();
  const std::size_t count = destination.size();
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) sum[i] += addend[i];
}

bool all_finite(std::span<const float> values) {
  // An exponent of all ones. As integers, because a reduction over floats would have to keep its
  // order; in blocks, so that the loop inside has no exit and vectorizes.
  constexpr std::uint32_t kExponent = 0x7F800000u;
  constexpr std::size_t kBlock = 4096;
  for (std::size_t first = 0; first < values.size(); first += kBlock) {
    std::uint32_t bad = 0;
    for (float value : values.subspan(first, std::min(kBlock, values.size() - first))) {
      bad |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent);
    }
    if (bad != 0) return false;
  }
  return true;
}

}  // namespace rubato::kernels::cpu
