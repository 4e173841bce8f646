// The update rules on a CUDA device: the functors of kernels/update_rule.h, launched as kernels, with
// the same bits as kernels/cpu/apply_rule.h.
//
// State of this code: it compiles and links for sm_80 and sm_90; it has never run on a GPU, for want of one.
// tests/kernels/rule_cuda_test.cc compares it with the CPU wherever there is one, and on a fake (tests/cuda_fake).
//
// Thread-safety: pure functions of what they are given; work on one stream is done in order.
#pragma once

#include <span>

#include "base/result.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/rule_config.h"

namespace rubato::kernels::cuda {

// Enqueues the update on `stream`; all spans are device memory and stay alive until it is done. The
// demands on them are those of the CPU's apply_rule. Errors: kDevice, of the launch; those of the
// execution appear when the stream is synchronized.
Status apply_rule(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                  std::span<const float> gradient, const SlotView& next, const Stream& stream);

// What kernels::cpu::add_part does. As above.
Status add_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum, bool first,
                const Stream& stream);

// destination[i] += source[i]. As above.
Status sum_into(std::span<float> destination, std::span<const float> source, const Stream& stream);

// *finite becomes 0 if one of the values is not finite, else another number. As above.
Status look_for_nonfinite(std::span<const float> values, DeviceArray<int>& finite, const Stream& stream);

}  // namespace rubato::kernels::cuda
