#include "kernels/cuda/apply_rule.h"

#include "base/check.h"
#include "kernels/cuda/update_rules.h"
#include "kernels/visit_rule.h"

namespace rubato::kernels::cuda {

Status apply_rule(const RuleConfig& rule, const UpdateScalars& scalars, const ConstSlotView& current,
                  std::span<const float> gradient, const SlotView& next, const Stream& stream) {
  check_update(rule.kind, current, gradient, next);
  const Planes planes = planes_of(rule.kind, scalars, current, gradient, next);
  return visit_rule(rule, scalars, [&](const auto& functor) {
    return check(enqueue_update(functor, planes, gradient.size(), stream.get()),
                 "launch of an update rule over {} elements on stream {}", gradient.size(), stream.name());
  });
}

Status add_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum, bool first,
                const Stream& stream) {
  check_part(compensation, part, sum);
  const PartPlanes planes = planes_of(part, sum, first);
  return visit_part(compensation, part, [&](const auto& functor) {
    return check(enqueue_part(functor, planes, sum.size(), stream.get()),
                 "launch of a gradient's part of {} elements on stream {}", sum.size(), stream.name());
  });
}

Status sum_into(std::span<float> destination, std::span<const float> source, const Stream& stream) {
  RUBATO_CHECK(destination.size() == source.size(), "{} += {} elements", destination.size(), source.size());
  return check(enqueue_sum(destination.data(), source.data(), source.size(), stream.get()),
               "launch of a sum of {} elements on stream {}", source.size(), stream.name());
}

// By bytes that make a number above 0, of which the caller wants to know no more.
Status look_for_nonfinite(std::span<const float> values, DeviceArray<int>& finite, const Stream& stream) {
  RUBATO_TRY(check(cudaMemsetAsync(finite.data(), 1, sizeof(int), stream.get()),
                   "cudaMemsetAsync of a finding on stream {}", stream.name()));
  return check(enqueue_finite(values.data(), values.size(), finite.data(), stream.get()),
               "launch of a look for what is not finite over {} elements on stream {}", values.size(), stream.name());
}

}  // namespace rubato::kernels::cuda
