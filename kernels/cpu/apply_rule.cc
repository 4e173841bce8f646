#include "kernels/cpu/apply_rule.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/update_rule.h"
#include "kernels/visit_rule.h"

namespace rubato::kernels::cpu {
namespace {

// `rule` is a copy on purpose: behind a reference, its constants could be among the floats written
// here, and would be loaded again for each element.
template <typename Rule>
void update_all(Rule rule, Planes planes, std::size_t count) {
// In place, each element depends on itself alone. The compiler cannot know, and would take its scalar
// loop there.
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) update_element(rule, planes, i);
}

template <typename Part>
void add_all(Part part, PartPlanes planes, std::size_t count) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) add_element(part, planes, i);
}

}  // namespace

void apply_rule(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                std::span<const float> gradient, const SlotView& next) {
  check_update(rule.kind, current, gradient, next);
  const Planes planes = planes_of(current, gradient, next);
  visit_rule(rule, scalars, [&](auto functor) { update_all(functor, planes, gradient.size()); });
}

void add_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum, bool first) {
  check_part(compensation, part, sum);
  const PartPlanes planes = planes_of(part, sum, first);
  visit_part(compensation, part, [&](auto functor) { add_all(functor, planes, sum.size()); });
}

void sum_into(std::span<float> destination, std::span<const float> source) {
  RUBATO_CHECK(destination.size() == source.size(), "{} += {} elements", destination.size(), source.size());
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
