// What a server does to a slice on the CPU: apply the rule, sum and compensate gradients, look for non-finite ones.
//
// The loops are bound by memory; the compiler vectorizes them (AVX-512 here: Adam at the speed of a
// plain sum over as many streams). No threads inside: a shard has one.
//
// Thread-safety: pure functions of what they are given.
#pragma once

#include <optional>
#include <span>

#include "kernels/rule_config.h"
#include "kernels/sum_term.h"

namespace rubato::kernels::cpu {

// Writes into `next` what becomes of `current` under one update by `gradient`. All are equally long,
// as are the state planes that the rule has, and the average of the weights where one is kept, which is moved in the
// same pass. `next` is `current` itself (in place) or shares no byte with it; the bits are the same either way, and
// however a slice is cut into pieces.
//
// True: the gradient was finite, all of it. It is looked at in the same pass; what was written by one that is not is
// of no use, so whoever is not sure of it beforehand writes out of place.
//
// `traffic`: bytes that this thread has read and written, about, since it last had `next` under its hands. From it
// follows whether `next` is still in the cache, and with it how it is written; never what.
bool apply_rule(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                std::span<const float> gradient, const SlotView& next, std::size_t traffic = 0);

// By the sum of gradients that `terms` describe, at least one, added up in the same pass. False: it is not finite. Then
// one of them was not, or the sum is too large; `next` is of no use, and not all of it was written.
[[nodiscard]] bool apply_rule_to_sum(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                                     std::span<const SumTerm> terms, const SlotView& next, std::size_t traffic = 0);

// sum[i] += what the push brings; or sum[i] = that, if it is the first. `sum` shares no byte with any span of the part.
void add_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum, bool first);

// sum[i] = what the terms, at least two, add up to. They are as long as `sum`, which is one of them or shares no byte
// with any. True: it is finite, all of it, and so were they.
bool add_up(std::span<const SumTerm> terms, std::span<float> sum);

// Elements of a block that stays in the innermost cache while it is worked on.
inline constexpr std::size_t kBlock = 4096;

// The first element that is infinite or NaN, where there is one.
[[nodiscard]] std::optional<std::size_t> first_nonfinite(std::span<const float> values);
[[nodiscard]] inline bool all_finite(std::span<const float> values) { return !first_nonfinite(values); }

}  // namespace rubato::kernels::cpu
