// How the rules are applied: the same bits in place and out of place, at any size, alignment and cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

#include "kernels/cpu/apply_rule.h"
#include "kernels/cpu/core_cache.h"
#include "tests/kernels/rule_fixture.h"

namespace rubato::kernels {
namespace {

using testing::HeapSlot;
using testing::trained_slot;

const std::vector<std::size_t> kSizes = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 255, 1000, 4099};

using Terms = std::vector<SumTerm>;

// ((a + b) + c) + ...
Terms chain(const std::vector<std::span<const float>>& gradients) {
  Terms terms;
  for (const std::span<const float> gradient : gradients) terms.push_back({gradient, terms.empty() ? 0u : 1u});
  return terms;
}

class RuleApplication : public ::testing::TestWithParam<std::string> {
 protected:
  RuleApplication() {
    rule_ = testing::rule_named(GetParam(), 0.01, 0.4);
    scalars_ = update_scalars(rule_, {}, 0.05, 0.5, 3);
  }
  void apply(const ConstSlotView& current, std::span<const float> gradient, const SlotView& next) const {
    cpu::apply_rule(rule_, scalars_, current, gradient, next);
  }

  RuleConfig rule_;
  UpdateScalars scalars_;
};

// More than any cache holds: what is written goes past it.
constexpr std::size_t kMuchTraffic = std::size_t{1} << 40;

// Slots of a shard begin on a line's start, those that are past the cache written by whole lines; others do not.
std::span<float> on_line(std::vector<float>& storage, std::size_t size, std::size_t beside) {
  storage.assign(size + 2 * cpu::kLineFloats, 0.5f);
  const auto address = reinterpret_cast<std::uintptr_t>(storage.data());
  const std::size_t first = (cpu::kCacheLine - address % cpu::kCacheLine) % cpu::kCacheLine / sizeof(float);
  return std::span(storage).subspan(first + beside, size);
}

TEST_P(RuleApplication, PastTheCacheTheBitsAreTheSame) {
  for (std::size_t size : {0u, 1u, 15u, 16u, 17u, 127u, 128u, 129u, 255u, 1000u, 4099u, 12300u}) {
    for (std::size_t beside : {0u, 1u}) {
      SCOPED_TRACE(fmt::format("size {}, {} elements beside a line", size, beside));
      const std::vector<float> gradient = testing::normals(size, 5), other = testing::normals(size, 6);
      const Terms terms = chain({gradient, other, gradient});
      HeapSlot current = trained_slot(size, 4), expected = trained_slot(size, 4);
      std::array<std::vector<float>, 1 + kStatePlanesMax> storage;
      SlotView next;
      next.weights = on_line(storage[0], size, beside);
      for (std::size_t plane = 0; plane < state_planes(rule_.kind); ++plane)
        next.state[plane] = on_line(storage[1 + plane], size, beside);
      const auto as_expected = [&] {
        EXPECT_TRUE(std::ranges::equal(next.weights, expected.view().weights));
        for (std::size_t plane = 0; plane < state_planes(rule_.kind); ++plane) {
          EXPECT_TRUE(std::ranges::equal(next.state[plane], expected.view().state[plane]));
        }
        for (const std::vector<float>& plane : storage) {
          EXPECT_EQ(std::ranges::count(plane, 0.5f), plane.size() - (plane.empty() ? 0 : size)) << "written beside";
        }
      };
      EXPECT_TRUE(cpu::apply_rule(rule_, scalars_, current.view(), gradient, expected.view()));
      EXPECT_TRUE(cpu::apply_rule(rule_, scalars_, current.view(), gradient, next, kMuchTraffic));
      as_expected();
      EXPECT_TRUE(cpu::apply_rule_to_sum(rule_, scalars_, current.view(), terms, expected.view()));
      EXPECT_TRUE(cpu::apply_rule_to_sum(rule_, scalars_, current.view(), terms, next, kMuchTraffic));
      as_expected();
    }
  }
}

TEST_P(RuleApplication, OutOfPlaceEqualsInPlace) {
  for (std::size_t size : kSizes) {
    for (std::size_t offset : {0u, 1u, 3u}) {
      SCOPED_TRACE(fmt::format("size {}, offset {}", size, offset));
      const std::vector<float> gradient = testing::normals(size, 5);
      HeapSlot in_place = trained_slot(size, 4, offset), current = trained_slot(size, 4, offset);
      HeapSlot next = trained_slot(size, 4, (offset + 1) % 4);  // planes that the rule has not stay as they are
      const HeapSlot before = current;
      apply(in_place.view(), gradient, in_place.view());
      apply(current.view(), gradient, next.view());
      EXPECT_TRUE(next.same_bits(in_place));
      EXPECT_TRUE(current.same_bits(before));
      EXPECT_EQ(next.same_bits(before), size == 0);
    }
  }
}

TEST_P(RuleApplication, CutsDoNotChangeBits) {
  constexpr std::size_t kSize = 1009;
  const std::vector<float> gradient = testing::normals(kSize, 6);
  HeapSlot whole = trained_slot(kSize, 8), pieces = trained_slot(kSize, 8);
  apply(whole.view(), gradient, whole.view());
  for (std::size_t first = 0, count = 1; first < kSize; first += count, count = count * 2 + 1) {
    count = std::min(count, kSize - first);
    const SlotView piece = pieces.view().part(first, count);
    apply(piece, std::span(gradient).subspan(first, count), piece);
  }
  EXPECT_TRUE(pieces.same_bits(whole));
}

TEST_P(RuleApplication, TouchesNothingBeside) {
  constexpr std::size_t kSize = 37;
  const std::vector<float> gradient = testing::normals(kSize - 2, 6);
  HeapSlot slot = trained_slot(kSize, 9);
  const HeapSlot before = slot;
  apply(slot.view().part(1, kSize - 2), gradient, slot.view().part(1, kSize - 2));
  HeapSlot copy = before;
  for (std::size_t p = 0; p <= kStatePlanesMax; ++p) {
    EXPECT_EQ(slot.plane(p).front(), copy.plane(p).front());
    EXPECT_EQ(slot.plane(p).back(), copy.plane(p).back());
    if (p > state_planes(rule_.kind)) {
      EXPECT_TRUE(std::ranges::equal(slot.plane(p), copy.plane(p)));
    }
  }
}

TEST_P(RuleApplication, ANonFiniteGradientSpoilsItsOwnElementAlone) {
  std::vector<float> gradient = testing::normals(100, 6);
  HeapSlot slot = trained_slot(100, 9), clean = trained_slot(100, 9);
  apply(clean.view(), gradient, clean.view());
  gradient[41] = std::numeric_limits<float>::quiet_NaN();
  apply(slot.view(), gradient, slot.view());
  for (std::size_t i = 0; i < 100; ++i) {
    if (i == 41) {
      EXPECT_TRUE(std::isnan(slot.weights()[i]));  // clipping does not hide it
    } else {
      EXPECT_EQ(slot.weights()[i], clean.weights()[i]);
    }
  }
}

TEST_P(RuleApplication, TellsWhetherTheGradientWasFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (std::size_t size : {1u, 7u, 16u, 67u, 4099u}) {
    std::vector<float> gradient = testing::normals(size, 6);
    gradient[size / 2] = -std::numeric_limits<float>::max();
    HeapSlot slot = trained_slot(size, 9);
    HeapSlot next = trained_slot(size, 9);
    EXPECT_TRUE(cpu::apply_rule(rule_, scalars_, slot.view(), gradient, next.view()));
    for (std::size_t place : {std::size_t{0}, size / 3, size - 1}) {
      for (float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<float> spoiled = gradient;
        spoiled[place] = bad;
        EXPECT_FALSE(cpu::apply_rule(rule_, scalars_, slot.view(), spoiled, next.view())) << bad << " at " << place;
        EXPECT_FALSE(cpu::apply_rule_to_sum(rule_, scalars_, slot.view(), chain({gradient, spoiled}), next.view()));
        EXPECT_FALSE(cpu::apply_rule_to_sum(rule_, scalars_, slot.view(), chain({spoiled, gradient}), next.view()));
      }
    }
    // Both are finite.
    EXPECT_FALSE(cpu::apply_rule_to_sum(rule_, scalars_, slot.view(), chain({gradient, gradient}), next.view()));
  }
}

TEST_P(RuleApplication, ToASumIsTheSumAndThenTheRule) {
  for (std::size_t size : {1u, 33u, 4095u, 4096u, 4097u, 12300u}) {
    std::vector<std::vector<float>> gradients;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      gradients.push_back(testing::normals(size, seed));
      for (float& value : gradients.back()) value = std::ldexp(value, static_cast<int>(5 * seed));
      std::vector<float> sum = gradients.front();
      for (std::size_t i = 1; i < gradients.size(); ++i) EXPECT_TRUE(cpu::add_up(chain({sum, gradients[i]}), sum));
      HeapSlot expected = trained_slot(size, 4), current = trained_slot(size, 4), next = trained_slot(size, 4);
      apply(expected.view(), sum, expected.view());
      const Terms terms = chain({gradients.begin(), gradients.end()});
      EXPECT_TRUE(cpu::apply_rule_to_sum(rule_, scalars_, current.view(), terms, next.view()));
      EXPECT_TRUE(next.same_bits(expected));
      EXPECT_TRUE(cpu::apply_rule_to_sum(rule_, scalars_, current.view(), terms, current.view()));
      EXPECT_TRUE(current.same_bits(expected));
    }
  }
}

TEST_P(RuleApplication, RefusesPartialOverlapAndUnequalLengths) {
  HeapSlot slot = trained_slot(64, 9), shorter = trained_slot(63, 9);
  const std::vector<float> gradient = testing::normals(63, 6);
  EXPECT_DEATH(apply(slot.view().part(0, 63), gradient, slot.view().part(1, 63)), "partly overlapping");
  EXPECT_DEATH(apply(slot.view(), gradient, slot.view()), "63 gradients");
  EXPECT_DEATH(apply(slot.view().part(0, 63), gradient, shorter.view().part(0, 62)), "63 gradients");
}

INSTANTIATE_TEST_SUITE_P(Rules, RuleApplication, ::testing::ValuesIn(testing::kAllRuleNames),
                         [](const auto& rule) { return rule.param; });

TEST(Add, TellsWhetherTheSumIsFinite) {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (std::size_t size : {1u, 16u, 67u, 4097u}) {
    for (std::size_t place : {std::size_t{0}, size / 3, size - 1}) {
      std::vector<float> left = testing::normals(size, 1), right = testing::normals(size, 2), sum(size);
      left[place] = kMax;
      EXPECT_TRUE(cpu::add_up(chain({left, right}), sum));
      right[place] = kMax;
      EXPECT_FALSE(cpu::add_up(chain({left, right}), sum));
      right[place] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_FALSE(cpu::add_up(chain({left, right}), left));
    }
  }
}

TEST(Add, AddsElementByElement) {
  for (std::size_t size : kSizes) {
    std::vector<float> sum = testing::normals(size + 1, 1);
    const std::vector<float> before = sum, addend = testing::normals(size + 1, 2);
    const std::span<float> into = std::span(sum).subspan(1);
    EXPECT_TRUE(cpu::add_up(chain({into, std::span(addend).first(size)}), into));
    EXPECT_EQ(sum[0], before[0]);
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(sum[i + 1], before[i + 1] + addend[i]);
  }
  std::vector<float> twice = {1.0f, -2.0f, 3.0f};
  EXPECT_TRUE(cpu::add_up(chain({twice, twice}), twice));
  EXPECT_EQ(twice, (std::vector<float>{2.0f, -4.0f, 6.0f}));
}

// The sum of each tree of some leaves, by its definition, and in one pass.
TEST(AddUp, FollowsTheTree) {
  for (std::size_t size : {1u, 100u, 1024u, 1025u, 5000u}) {
    std::vector<std::vector<float>> leaves;
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      leaves.push_back(testing::normals(size, seed));
      for (float& value : leaves.back()) value = std::ldexp(value, static_cast<int>(7 * seed % 24));
    }
    const std::vector<float>&a = leaves[0], &b = leaves[1], &c = leaves[2], &d = leaves[3], &e = leaves[4],
          &f = leaves[5];
    struct Case {
      Terms terms;
      std::function<float(std::size_t)> sum;
    };
    const std::vector<Case> cases = {
        {{{a}, {b, 1}}, [&](std::size_t i) { return a[i] + b[i]; }},
        {{{a}, {b, 1}, {c, 1}}, [&](std::size_t i) { return (a[i] + b[i]) + c[i]; }},
        {{{a}, {b}, {c, 2}}, [&](std::size_t i) { return a[i] + (b[i] + c[i]); }},
        {{{a}, {b, 1}, {c}, {d, 2}}, [&](std::size_t i) { return (a[i] + b[i]) + (c[i] + d[i]); }},
        {{{a}, {b, 1}, {c}, {d, 2}, {e}, {f, 2}},
         [&](std::size_t i) { return ((a[i] + b[i]) + (c[i] + d[i])) + (e[i] + f[i]); }},
        {{{a}, {b}, {c}, {d}, {e, 4}}, [&](std::size_t i) { return a[i] + (b[i] + (c[i] + (d[i] + e[i]))); }},
    };
    for (const Case& test : cases) {
      std::vector<float> sum(size);
      EXPECT_TRUE(cpu::add_up(test.terms, sum));
      for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(sum[i], test.sum(i)) << test.terms.size() << " terms, " << i;
    }
  }
}

TEST(AddUp, RefusesWhatIsNoTree) {
  const std::vector<float> a(3), b(3), shorter(2);
  std::vector<float> sum(3);
  EXPECT_DEATH(cpu::add_up(Terms{{a}, {b}}, sum), "fewer additions");
  EXPECT_DEATH(cpu::add_up(Terms{{a}, {b, 2}}, sum), "more additions");
  EXPECT_DEATH(cpu::add_up(Terms{{a, 1}, {b}}, sum), "more additions");
  EXPECT_DEATH(cpu::add_up(Terms{{a}, {shorter, 1}}, sum), "2 elements into 3");
}

TEST(AllFinite, FindsEachKindAtEachPlace) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float bad[] = {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::signaling_NaN(), -std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(cpu::all_finite({}));
  for (std::size_t size : {1u, 5u, 16u, 67u, 4096u, 4097u, 9000u}) {
    std::vector<float> values = testing::normals(size, 1);
    values[0] = std::numeric_limits<float>::max();
    values[size / 2] = std::numeric_limits<float>::denorm_min();
    EXPECT_TRUE(cpu::all_finite(values));
    for (std::size_t place : {std::size_t{0}, size / 3, size - 1}) {
      for (float value : bad) {
        std::vector<float> spoiled = values;
        spoiled[place] = value;
        EXPECT_EQ(cpu::first_nonfinite(spoiled), place) << value << " of " << size;
      }
    }
  }
}

}  // namespace
}  // namespace rubato::kernels
