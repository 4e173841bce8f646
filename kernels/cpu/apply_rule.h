// What a server does to a slice on the CPU: apply the rule, sum and compensate gradients, look for non-finite ones.
//
// The loops are bound by memory; the compiler vectorizes them (AVX-512 here: Adam at the speed of a
// plain sum over as many streams). No threads inside: a shard has one.
//
// Thread-safety: pure functions of what they are given.
#pragma once

#include <span>

#include "kernels/rule_config.h"

namespace rubato::kernels::cpu {

// Writes into `next` what becomes of `current` under one update by `gradient`. All are equally long,
// as are the state planes that the rule has. `next` is `current` itself (in place) or shares no byte
// with it; the bits are the same either way, and however a slice is cut into pieces.
void apply_rule(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                std::span<const float> gradient, const SlotView& next);

// sum[i] += what the push brings; or sum[i] = that, if it is the first. `sum` shares no byte with any span of the part.
void add_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum, bool first);

// destination[i] += source[i]; equally long, and disjoint or the same.
void sum_into(std::span<float> destination, std::span<const float> source);

// No element is infinite or NaN.
[[nodiscard]] bool all_finite(std::span<const float> values);

}  // namespace rubato::kernels::cpu
