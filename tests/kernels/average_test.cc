// The moving average of the weights beside them: its share, and the same bits however an update is applied.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/cpu/apply_rule.h"
#include "tests/kernels/rule_fixture.h"

namespace rubato::kernels {
namespace {

using testing::HeapSlot;
using testing::trained_slot;

// TensorFlow: "The actual decay rate used is: min(decay, (1 + num_updates) / (10 + num_updates))".
TEST(Average, TheShareOfNewWeightsIsLargeAtFirst) {
  const RuleConfig rule{.average_decay = 0.99};
  EXPECT_DOUBLE_EQ(average_share(rule, 1), 1.0 - 2.0 / 11.0);
  EXPECT_DOUBLE_EQ(average_share(rule, 90), 1.0 - 91.0 / 100.0);
  EXPECT_DOUBLE_EQ(average_share(rule, 890), 1.0 - 0.99) << "from here on the decay itself";
  EXPECT_DOUBLE_EQ(average_share(rule, std::uint64_t{1} << 50), 1.0 - 0.99);
  EXPECT_EQ(average_share({}, 1), 0.0);
  EXPECT_FALSE(RuleConfig().keeps_average());
}

TEST(Average, IsKeptOfEveryParameterUnderEveryRule) {
  Job job;
  job.evaluation.average = 0.9;
  ParameterSpec mean;
  mean.average = 0.1f;
  for (const char* mode : {"bsp", "asp", "local:2"}) {
    job.consistency.mode = mode;
    for (const ParameterSpec& spec : {ParameterSpec(), mean}) {
      const RuleConfig rule = rule_for(server_rule(job), spec);
      EXPECT_EQ(rule.average_decay, 0.9) << mode;
      EXPECT_DOUBLE_EQ(update_scalars(rule, spec, 0.1, 1.0, 2).average_share, 1.0 - 3.0 / 12.0) << mode;
    }
  }
}

class AveragedRule : public ::testing::TestWithParam<std::string> {
 protected:
  AveragedRule() {
    rule_ = testing::rule_named(GetParam(), 0.01, 0.4);
    plain_ = update_scalars(rule_, {}, 0.05, 0.5, 3);
    rule_.average_decay = 0.75;
    scalars_ = update_scalars(rule_, {}, 0.05, 0.5, 3);
  }

  // What becomes of trained_slot(size, 4), with the average by its formula, whose operations are single ones.
  [[nodiscard]] HeapSlot expected(std::size_t size, std::span<const float> gradient) const {
    HeapSlot before = trained_slot(size, 4), slot = trained_slot(size, 4);
    cpu::apply_rule(rule_, plain_, before.view(), gradient, slot.view());
    const float share = static_cast<float>(scalars_.average_share);
    for (std::size_t i = 0; i < size; ++i) {
      const float average = before.average()[i];
      slot.average()[i] = average + share * (slot.weights()[i] - average);
    }
    return slot;
  }

  RuleConfig rule_;
  UpdateScalars plain_, scalars_;
};

constexpr std::size_t kMuchTraffic = std::size_t{1} << 40;  // past any cache

TEST_P(AveragedRule, HasTheBitsOfItsFormulaHoweverItIsApplied) {
  for (const std::size_t size : {0u, 1u, 16u, 127u, 128u, 129u, 1000u, 4097u}) {
    SCOPED_TRACE(size);
    const std::vector<float> gradient = testing::normals(size, 5);
    const HeapSlot wanted = expected(size, gradient);
    HeapSlot in_place = trained_slot(size, 4), current = trained_slot(size, 4);
    cpu::apply_rule(rule_, scalars_, in_place.averaged_view(), gradient, in_place.averaged_view());
    EXPECT_TRUE(in_place.same_bits(wanted));
    for (const std::size_t traffic : {std::size_t{0}, kMuchTraffic}) {
      HeapSlot next = trained_slot(size, 4);  // planes that the rule has not stay as they are
      cpu::apply_rule(rule_, scalars_, current.averaged_view(), gradient, next.averaged_view(), traffic);
      EXPECT_TRUE(next.same_bits(wanted)) << traffic;
    }
    EXPECT_TRUE(current.same_bits(trained_slot(size, 4)));
  }
}

TEST_P(AveragedRule, ToASumAndInPiecesAlike) {
  for (const std::size_t size : {1u, 1023u, 1025u, 5000u}) {
    SCOPED_TRACE(size);
    const std::vector<float> gradient = testing::normals(size, 5), zeros(size);
    const HeapSlot wanted = expected(size, gradient);
    const std::vector<SumTerm> two = {{gradient}, {zeros, 1}}, four = {{gradient}, {zeros, 1}, {zeros}, {zeros, 2}},
                               three = {{gradient}, {zeros, 1}, {zeros, 1}};
    for (const auto& terms : {two, three, four})
      for (const std::size_t traffic : {std::size_t{0}, kMuchTraffic}) {
        HeapSlot current = trained_slot(size, 4), next = trained_slot(size, 4);
        EXPECT_TRUE(
            cpu::apply_rule_to_sum(rule_, scalars_, current.averaged_view(), terms, next.averaged_view(), traffic));
        EXPECT_TRUE(next.same_bits(wanted)) << terms.size() << " terms, " << traffic;
      }
    HeapSlot pieces = trained_slot(size, 4);
    for (std::size_t first = 0, count = 1; first < size; first += count, count = count * 2 + 1) {
      count = std::min(count, size - first);
      const SlotView piece = pieces.averaged_view().part(first, count);
      cpu::apply_rule(rule_, scalars_, piece, std::span(gradient).subspan(first, count), piece);
    }
    EXPECT_TRUE(pieces.same_bits(wanted));
  }
}

TEST_P(AveragedRule, RefusesAPlaneThatIsMissingOrTooShort) {
  HeapSlot slot = trained_slot(8, 4);
  const std::vector<float> gradient = testing::normals(8, 5);
  EXPECT_DEATH(cpu::apply_rule(rule_, scalars_, slot.view(), gradient, slot.view()), "an average of 0 elements");
  EXPECT_DEATH(cpu::apply_rule(rule_, plain_, slot.averaged_view(), gradient, slot.averaged_view()), "a share of 0");
  SlotView next = slot.averaged_view();
  next.average = {};
  EXPECT_DEATH(cpu::apply_rule(rule_, scalars_, slot.averaged_view(), gradient, next), "8 elements become 0");
}

INSTANTIATE_TEST_SUITE_P(Rules, AveragedRule, ::testing::ValuesIn(testing::kAllRuleNames),
                         [](const auto& rule) { return rule.param; });

}  // namespace
}  // namespace rubato::kernels
