// The ways of a convolution, each timed on tensors of the real shape, call by call.
//
// The ways take turns. A time is the least of a few calls, with whatever conversions of tensors and weights the way
// needs: what disturbs a call makes it longer. A way that is faster than the rule's first by less than a twentieth is
// not told apart from it.
//
// Thread-safety: belongs to the device's thread.
#pragma once

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/cpu/primitive.h"
#include "kernels/plan_book.h"

namespace rubato::kernels {

// What the book has of it already is kept. Errors: kDevice. May throw dnnl::error.
[[nodiscard]] Status measure_ways(Device& device, const CpuContext& context, const ConvolutionDesc& desc,
                                  const PlanHint& hint, PlanBook& book);
// The same without a clock: every call's ways by rule, and no times.
void list_ways(const CpuContext& context, const ConvolutionDesc& desc, const PlanHint& hint, PlanBook& book);

}  // namespace rubato::kernels
