#include "bench/plain_update.h"

#include <array>

#include "base/check.h"
#include "kernels/cpu/apply_rule.h"
#include "kernels/visit_rule.h"

namespace rubato::bench {
namespace {

template <std::size_t kTerms, typename Rule>
void loop(Rule rule, kernels::Planes planes, std::span<const kernels::SumTerm> gradients, std::size_t count) {
  std::array<const float*, kTerms> terms;
  for (std::size_t term = 0; term < kTerms; ++term) terms[term] = gradients[term].values.data();
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) {
    float sum = terms[0][i];
    for (std::size_t term = 1; term < kTerms; ++term) sum += terms[term][i];
    kernels::update_element(rule, planes, i, sum);
  }
}

}  // namespace

void update_plainly(const kernels::RuleConfig& rule, const kernels::UpdateScalars& scalars,
                    std::span<const kernels::SumTerm> gradients, const kernels::SlotView& slot) {
  if (gradients.size() > 4) {
    RUBATO_CHECK(kernels::cpu::apply_rule_to_sum(rule, scalars, slot, gradients, slot), "not finite");
    return;
  }
  const kernels::Planes planes = kernels::planes_of(rule.kind, scalars, slot, gradients.front().values, slot);
  const std::size_t count = slot.weights.size();
  kernels::visit_rule(rule, scalars, [&](auto functor) {
    switch (gradients.size()) {
      case 1:
        return loop<1>(functor, planes, gradients, count);
      case 2:
        return loop<2>(functor, planes, gradients, count);
      case 3:
        return loop<3>(functor, planes, gradients, count);
      default:
        return loop<4>(functor, planes, gradients, count);
    }
  });
}

}  // namespace rubato::bench
