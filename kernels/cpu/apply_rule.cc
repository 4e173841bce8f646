#include "kernels/cpu/apply_rule.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/cpu/core_cache.h"
#include "kernels/update_rule.h"
#include "kernels/visit_rule.h"

namespace rubato::kernels::cpu {
namespace {

constexpr std::uint32_t kMagnitude = 0x7FFFFFFFu, kInfinity = 0x7F800000u;

// Of finite numbers less than kInfinity, of others not. As an integer, because a reduction over floats would have to
// keep its order.
std::uint32_t magnitude(float value) { return std::bit_cast<std::uint32_t>(value) & kMagnitude; }

// The elements from `first` on.
Planes planes_from(Planes planes, std::size_t first) {
  planes.weight += first;
  planes.next_weight += first;
  for (std::size_t plane = 0; plane < kStatePlanesMax; ++plane) {
    if (planes.state[plane] != nullptr) planes.state[plane] += first;
    if (planes.next_state[plane] != nullptr) planes.next_state[plane] += first;
  }
  return planes;
}

// Elements from `first` to `end`; returns the largest magnitude among their gradients. `rule` is a copy on purpose:
// behind a reference, its constants could be among the floats written here, and would be loaded again for each element.
template <typename Rule, typename Gradient>
std::uint32_t update_piece(Rule rule, Planes planes, Gradient gradient, std::size_t first, std::size_t end) {
  std::uint32_t largest = 0;
// In place, each element depends on itself alone. The compiler cannot know, and would take its scalar
// loop there.
#pragma GCC ivdep
  for (std::size_t i = first; i < end; ++i) {
    const float value = gradient(i);
    largest = std::max(largest, magnitude(value));
    update_element(rule, planes, i, value);
  }
  return largest;
}

// What is written into other memory than was read. Processors fetch what a loop reads ahead of it, and not so what it
// only writes; so here each line is asked for before its turn.
template <typename Rule, typename Gradient>
std::uint32_t update_ahead(Rule rule, Planes planes, Gradient gradient, std::size_t count) {
  const auto ask = [&](std::size_t first, std::size_t end) {
    prefetch_for_writing(planes.next_weight, first, std::min(end, count));
    for (std::size_t plane = 0; plane < Rule::kPlanes; ++plane)
      prefetch_for_writing(planes.next_state[plane], first, std::min(end, count));
  };
  std::uint32_t largest = 0;
  ask(0, kAhead);
  for (std::size_t first = 0; first < count; first += kPiece) {
    ask(first + kAhead, first + kAhead + kPiece);
    largest = std::max(largest, update_piece(rule, planes, gradient, first, std::min(first + kPiece, count)));
  }
  return largest;
}

// The same into memory that no cache has. Written as usual, its old content would be fetched first; so pieces are
// computed in the innermost cache, and go to memory whole lines at a time.
template <typename Rule, typename Gradient>
std::uint32_t update_past_cache(Rule rule, Planes planes, Gradient gradient, std::size_t count) {
  alignas(kCacheLine) float piece[1 + kStatePlanesMax][kPiece];
  std::uint32_t largest = 0;
  for (std::size_t first = 0; first < count; first += kPiece) {
    const std::size_t size = std::min(kPiece, count - first);
    Planes into = planes_from(planes, first);
    into.next_weight = piece[0];
    for (std::size_t plane = 0; plane < Rule::kPlanes; ++plane) into.next_state[plane] = piece[1 + plane];
    largest = std::max(largest, update_piece(
                                    rule, into, [=](std::size_t i) { return gradient(first + i); }, 0, size));
    write_past_cache(planes.next_weight + first, piece[0], size);
    for (std::size_t plane = 0; plane < Rule::kPlanes; ++plane)
      write_past_cache(planes.next_state[plane] + first, piece[1 + plane], size);
  }
  settle_writes_past_cache();
  return largest;
}

template <typename Rule, typename Gradient>
bool update_all(Rule rule, Planes planes, Gradient gradient, std::size_t count, std::size_t traffic) {
  const bool in_place = planes.next_weight == planes.weight;
  const std::uint32_t largest = in_place                       ? update_piece(rule, planes, gradient, 0, count)
                                : traffic > core_cache_bytes() ? update_past_cache(rule, planes, gradient, count)
                                                               : update_ahead(rule, planes, gradient, count);
  return largest < kInfinity;
}

template <typename Part>
void add_all(Part part, PartPlanes planes, std::size_t count) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) add_element(part, planes, i);
}

bool add_all(float* sum, const float* left, const float* right, std::size_t count) {
  std::uint32_t largest = 0;
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) {
    const float value = left[i] + right[i];
    largest = std::max(largest, magnitude(value));
    sum[i] = value;
  }
  return largest < kInfinity;
}

// The last term is added where the rule takes it; the sum of the others, if they are several, goes into `block`, and
// from there, still in the innermost cache, into the rule.
template <typename Rule>
bool update_by_sum(Rule rule, Planes planes, std::span<const std::span<const float>> terms, std::size_t count,
                   std::size_t traffic) {
  const float* last = terms.back().data();
  if (terms.size() == 2) {
    const float* left = terms.front().data();
    return update_all(
        rule, planes, [=](std::size_t i) { return left[i] + last[i]; }, count, traffic);
  }
  alignas(64) float block[kBlock];
  for (std::size_t first = 0; first < count; first += kBlock) {
    const std::size_t size = std::min(kBlock, count - first);
    const float* left = terms.front().data() + first;
    for (const std::span<const float> term : terms.subspan(1, terms.size() - 2)) {
      add_all(block, left, term.data() + first, size);
      left = block;
    }
    const float* right = last + first;
    if (!update_all(
            rule, planes_from(planes, first), [=](std::size_t i) { return left[i] + right[i]; }, size, traffic))
      return false;
  }
  return true;
}

}  // namespace

bool apply_rule(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                std::span<const float> gradient, const SlotView& next, std::size_t traffic) {
  check_update(rule.kind, current, gradient, next);
  const Planes planes = planes_of(current, gradient, next);
  return visit_rule(rule, scalars, [&](auto functor) {
    return update_all(
        functor, planes, [=](std::size_t i) { return planes.gradient[i]; }, gradient.size(), traffic);
  });
}

bool apply_rule_to_sum(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                       std::span<const std::span<const float>> terms, const SlotView& next, std::size_t traffic) {
  RUBATO_CHECK(!terms.empty());
  if (terms.size() == 1) return apply_rule(rule, scalars, current, terms.front(), next, traffic);
  for (const std::span<const float> term : terms) check_update(rule.kind, current, term, next);
  const Planes planes = planes_of(current, terms.front(), next);
  return visit_rule(rule, scalars,
                    [&](auto functor) { return update_by_sum(functor, planes, terms, terms.front().size(), traffic); });
}

void add_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum, bool first) {
  check_part(compensation, part, sum);
  const PartPlanes planes = planes_of(part, sum, first);
  visit_part(compensation, part, [&](auto functor) { add_all(functor, planes, sum.size()); });
}

bool add(std::span<float> sum, std::span<const float> left, std::span<const float> right) {
  RUBATO_CHECK(sum.size() == left.size() && sum.size() == right.size(), "{} + {} elements into {}", left.size(),
               right.size(), sum.size());
  return add_all(sum.data(), left.data(), right.data(), sum.size());
}

bool all_finite(std::span<const float> values) {
  // In blocks, so that the loop inside has no exit and vectorizes.
  for (std::size_t first = 0; first < values.size(); first += kBlock) {
    std::uint32_t largest = 0;
    for (float value : values.subspan(first, std::min(kBlock, values.size() - first)))
      largest = std::max(largest, magnitude(value));
    if (largest >= kInfinity) return false;
  }
  return true;
}

}  // namespace rubato::kernels::cpu
