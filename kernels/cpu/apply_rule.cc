#include "kernels/cpu/apply_rule.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/cpu/core_cache.h"
#include "kernels/sum_term.h"
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
  for (std::size_t plane = 0; plane < kCellPlanesMax; ++plane) {
    if (planes.state[plane] != nullptr) planes.state[plane] += first;
    if (planes.next_state[plane] != nullptr) planes.next_state[plane] += first;
  }
  return planes;
}

// Where an update takes its gradient from: a push as it came, or two of a sum whose last addition is made here.
struct OneGradient {
  const float* values;
  float operator()(std::size_t i) const { return values[i]; }
  [[gnu::always_inline]] void ask(std::size_t i) const { prefetch_for_reading(values + i); }
};

struct SumOfTwo {
  const float *left, *right;
  float operator()(std::size_t i) const { return left[i] + right[i]; }
  [[gnu::always_inline]] void ask(std::size_t i) const {
    prefetch_for_reading(left + i);
    prefetch_for_reading(right + i);
  }
};

// Of four workers that have a quarter of the leaves each.
struct SumOfFour {
  std::array<const float*, 4> terms;
  float operator()(std::size_t i) const { return (terms[0][i] + terms[1][i]) + (terms[2][i] + terms[3][i]); }
  [[gnu::always_inline]] void ask(std::size_t i) const {
    for (const float* term : terms) prefetch_for_reading(term + i);
  }
  [[nodiscard]] static bool fits(std::span<const SumTerm> terms) {
    constexpr std::array<std::uint32_t, 4> kFolds = {0, 1, 0, 2};
    return std::ranges::equal(terms, kFolds, {}, &SumTerm::folds);
  }
};

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

// Asks for the elements of a piece that is updated a little later, so that more lines are under way at once, where that
// pays. (Always inline: GCC finds that a function which only asks has no effect, and leaves calls of it out.)
template <typename Rule, typename Gradient>
[[gnu::always_inline]] inline void ask_to_read(const Planes& planes, Gradient gradient, std::size_t first,
                                               std::size_t end) {
  for (std::size_t i = first; i < end; i += kLineFloats) {
    gradient.ask(i);
    prefetch_for_reading(planes.weight + i);
    for (std::size_t plane = 0; plane < Rule::kPlanes; ++plane) prefetch_for_reading(planes.state[plane] + i);
  }
}

template <typename Rule>
[[gnu::always_inline]] inline void ask_to_write(const Planes& planes, std::size_t first, std::size_t end) {
  for (std::size_t i = first; i < end; i += kLineFloats) {
    prefetch_for_writing(planes.next_weight + i);
    for (std::size_t plane = 0; plane < Rule::kPlanes; ++plane) prefetch_for_writing(planes.next_state[plane] + i);
  }
}

// In place, where what is written was read, or into memory that the cache still has.
template <typename Rule, typename Gradient>
std::uint32_t update_in_cache(Rule rule, Planes planes, Gradient gradient, std::size_t count) {
  const bool in_place = planes.next_weight == planes.weight, asks = asking_pays();
  const auto ask = [&](std::size_t first, std::size_t end) __attribute__((always_inline)) {
    if (!asks) return;
    ask_to_read<Rule>(planes, gradient, first, std::min(end, count));
    if (!in_place) ask_to_write<Rule>(planes, first, std::min(end, count));
  };
  std::uint32_t largest = 0;
  ask(0, kAhead);
  for (std::size_t first = 0; first < count; first += kPiece) {
    ask(first + kAhead, first + kAhead + kPiece);
    largest = std::max(largest, update_piece(rule, planes, gradient, first, std::min(first + kPiece, count)));
  }
  return largest;
}

// Into memory that no cache has. Written as usual, its old content would be fetched first; so pieces are computed in
// the innermost cache, and go to memory whole lines at a time.
template <typename Rule, typename Gradient>
std::uint32_t update_past_cache(Rule rule, Planes planes, Gradient gradient, std::size_t count) {
  alignas(kCacheLine) float piece[1 + kCellPlanesMax][kPiece];
  const bool asks = asking_pays();
  std::uint32_t largest = 0;
  for (std::size_t first = 0; first < count; first += kPiece) {
    const std::size_t size = std::min(kPiece, count - first);
    if (asks) ask_to_read<Rule>(planes, gradient, first + kAhead, std::min(first + kAhead + kPiece, count));
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
  const std::uint32_t largest = !in_place && traffic > kept_cache_bytes()
                                    ? update_past_cache(rule, planes, gradient, count)
                                    : update_in_cache(rule, planes, gradient, count);
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

// Elements of a block of a sum: few enough that all sums under way stay in the innermost cache.
constexpr std::size_t kSumBlock = 1024;

struct LastAddition {
  const float *left, *right;
};

// Sums of one block of a few terms.
class BlockSums {
 public:
  // All but the last addition, of elements from `first` on.
  LastAddition fold(std::span<const SumTerm> terms, std::size_t first, std::size_t count) {
    std::size_t depth = 0, left = terms.size() - 1;
    for (const SumTerm& term : terms) {
      RUBATO_CHECK(depth < kSumDepth, "more than {} additions wait for each other", kSumDepth);
      sums_[depth++] = term.values.data() + first;
      for (std::uint32_t fold = 0; fold < term.folds; ++fold) {
        RUBATO_CHECK(depth > 1 && left > 0, "more additions than terms");
        if (--left == 0) {
          RUBATO_CHECK(&term == &terms.back() && fold + 1 == term.folds, "more additions than terms");
          return {sums_[depth - 2], sums_[depth - 1]};
        }
        --depth;
        add_all(blocks_[depth - 1], sums_[depth - 1], sums_[depth], count);
        sums_[depth - 1] = blocks_[depth - 1];
      }
    }
    RUBATO_CHECK(false, "fewer additions than terms");
  }

 private:
  const float* sums_[kSumDepth] = {};
  alignas(kCacheLine) float blocks_[kSumDepth][kSumBlock];
};

// The last addition is made where the rule takes its gradient; the sums before it stay in the innermost cache.
template <typename Rule>
bool update_by_sum(Rule rule, Planes planes, std::span<const SumTerm> terms, std::size_t count, std::size_t traffic) {
  const auto values = [&](std::size_t term) { return terms[term].values.data(); };
  if (terms.size() == 2) return update_all(rule, planes, SumOfTwo{values(0), values(1)}, count, traffic);
  if (SumOfFour::fits(terms))
    return update_all(rule, planes, SumOfFour{{values(0), values(1), values(2), values(3)}}, count, traffic);
  BlockSums sums;
  for (std::size_t first = 0; first < count; first += kSumBlock) {
    const std::size_t size = std::min(kSumBlock, count - first);
    const LastAddition last = sums.fold(terms, first, size);
    if (!update_all(rule, planes_from(planes, first), SumOfTwo{last.left, last.right}, size, traffic)) return false;
  }
  return true;
}

}  // namespace

bool apply_rule(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                std::span<const float> gradient, const SlotView& next, std::size_t traffic) {
  check_update(rule.kind, current, gradient, next);
  const Planes planes = planes_of(rule.kind, scalars, current, gradient, next);
  return visit_rule(rule, scalars, [&](auto functor) {
    return update_all(functor, planes, OneGradient{planes.gradient}, gradient.size(), traffic);
  });
}

bool apply_rule_to_sum(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                       std::span<const SumTerm> terms, const SlotView& next, std::size_t traffic) {
  RUBATO_CHECK(!terms.empty());
  if (terms.size() == 1) return apply_rule(rule, scalars, current, terms.front().values, next, traffic);
  for (const SumTerm& term : terms) check_update(rule.kind, current, term.values, next);
  const Planes planes = planes_of(rule.kind, scalars, current, terms.front().values, next);
  return visit_rule(rule, scalars, [&](auto functor) {
    return update_by_sum(functor, planes, terms, current.weights.size(), traffic);
  });
}

void add_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum, bool first) {
  check_part(compensation, part, sum);
  const PartPlanes planes = planes_of(part, sum, first);
  visit_part(compensation, part, [&](auto functor) { add_all(functor, planes, sum.size()); });
}

bool add_up(std::span<const SumTerm> terms, std::span<float> sum) {
  RUBATO_CHECK(terms.size() > 1);
  for (const SumTerm& term : terms)
    RUBATO_CHECK(term.values.size() == sum.size(), "{} elements into {}", term.values.size(), sum.size());
  BlockSums sums;
  const bool asks = asking_pays();
  bool finite = true;
  for (std::size_t first = 0; first < sum.size(); first += kSumBlock) {
    const std::size_t end = std::min(first + kSumBlock, sum.size());
    const LastAddition last = sums.fold(terms, first, end - first);
    for (std::size_t at = first; at < end; at += kPiece) {
      for (std::size_t i = at + kAhead; asks && i < std::min(at + kAhead + kPiece, sum.size()); i += kLineFloats)
        prefetch_for_writing(&sum[i]);
      finite &= add_all(&sum[at], last.left + (at - first), last.right + (at - first), std::min(kPiece, end - at));
    }
  }
  return finite;
}

std::optional<std::size_t> first_nonfinite(std::span<const float> values) {
  // In blocks, so that the loop inside has no exit and vectorizes.
  for (std::size_t first = 0; first < values.size(); first += kBlock) {
    const std::span<const float> block = values.subspan(first, std::min(kBlock, values.size() - first));
    std::uint32_t largest = 0;
    for (float value : block) largest = std::max(largest, magnitude(value));
    if (largest < kInfinity) continue;
    const auto spoiled = std::ranges::find_if(block, [](float value) { return magnitude(value) >= kInfinity; });
    return first + static_cast<std::size_t>(spoiled - block.begin());
  }
  return std::nullopt;
}

}  // namespace rubato::kernels::cpu
