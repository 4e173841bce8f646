// The update of a model as anyone would write it: one loop over a slice, in place, that adds up its gradients and does
// the rule's arithmetic, compiled for the same processor as the servers' own (kernels/cpu/apply_rule.h), and with
// nothing of what that does beside: no look for what is not finite, no line asked for ahead, no other slot.
//
// Thread-safety: pure.
#pragma once

#include <span>

#include "kernels/rule_config.h"
#include "kernels/sum_term.h"

namespace rubato::bench {

// Gradients of as many elements as the slot has: up to four are added in the loop, from left to right; of more the sums
// are what the servers' own code makes, block by block.
void update_plainly(const kernels::RuleConfig& rule, const kernels::UpdateScalars& scalars,
                    std::span<const kernels::SumTerm> gradients, const kernels::SlotView& slot);

}  // namespace rubato::bench
