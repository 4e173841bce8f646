#include "worker/inner_optimizer.h"

#include "base/check.h"
#include "kernels/cpu/apply_rule.h"

namespace rubato::worker {

std::size_t InnerOptimizer::planes(const Job& job) {
  return kernels::state_planes(kernels::make_rule(job.optimizer).value().kind);
}

InnerOptimizer::InnerOptimizer(const Job& job, const protocol::Manifest& manifest,
                               const protocol::RoutingTable& routing)
    : rule_(kernels::make_rule(job.optimizer).value()) {
  for (const protocol::SliceSpec& slice : routing.slices) specs_.push_back(manifest[slice.pieces.front().parameter]);
}

void InnerOptimizer::update(InnerState& state, SliceId slice, double rate, std::span<const float> gradient,
                            std::uint64_t samples, std::span<const float> current, std::span<float> next) const {
  state.slices.resize(specs_.size());
  InnerState::Slice& own = state.slices[slice];
  const kernels::RuleConfig rule = kernels::rule_for(rule_, specs_[slice]);
  const std::size_t planes = kernels::state_planes(rule.kind);
  own.planes.resize(planes * current.size());  // zeros, at first
  kernels::SlotView to{next, {}};
  for (std::size_t plane = 0; plane < planes; ++plane)
    to.state[plane] = std::span(own.planes).subspan(plane * current.size(), current.size());
  const kernels::UpdateScalars scalars =
      kernels::update_scalars(rule, specs_[slice], rate, 1.0 / static_cast<double>(samples), ++own.updates);
  kernels::cpu::apply_rule(rule, scalars, {current, {to.state[0], to.state[1]}}, gradient, to);
}

void InnerOptimizer::write_delta(InnerState& state, SliceId slice, std::span<const float> pulled,
                                 std::span<const float> local, std::span<float> delta) const {
  RUBATO_CHECK(pulled.size() == local.size() && local.size() == delta.size());
  for (std::size_t i = 0; i < delta.size(); ++i) delta[i] = pulled[i] - local[i];
  if (!kernels::cpu::all_finite(delta)) state.slices[slice] = {};
}

}  // namespace rubato::worker
