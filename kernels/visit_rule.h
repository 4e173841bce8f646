// From a rule's configuration to its functors: what a launcher of update rules needs beside the loop.
//
// Thread-safety: pure.
#pragma once

#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include "base/check.h"
#include "kernels/gradient_part.h"
#include "kernels/rule_config.h"
#include "kernels/update_rule.h"

namespace rubato::kernels {

// For the functor that visit_rule makes of a rule of this kind and of these scalars.
inline Planes planes_of(RuleKind kind, const UpdateScalars& scalars, const ConstSlotView& current,
                        std::span<const float> gradient, const SlotView& next) {
  Planes planes{current.weights.data(),
                {current.state[0].data(), current.state[1].data()},
                gradient.data(),
                next.weights.data(),
                {next.state[0].data(), next.state[1].data()}};
  RUBATO_CHECK(gradient.empty() || current.average.empty() == (scalars.average_share == 0.0),
               "a share of {} in an average of {} elements", scalars.average_share, current.average.size());
  if (current.average.empty()) return planes;
  planes.state[state_planes(kind)] = current.average.data();
  planes.next_state[state_planes(kind)] = next.average.data();
  return planes;
}

// Without the average.
template <typename Visitor>
auto visit_bare_rule(const RuleConfig& config, const UpdateScalars& scalars, Visitor&& visitor) {
  const float rate = static_cast<float>(scalars.rate), momentum = static_cast<float>(config.momentum);
  GradientTerm term{.scale = static_cast<float>(scalars.gradient_scale),
                    .clip = scalars.clip_value > 0.0 ? static_cast<float>(scalars.clip_value)
                                                     : std::numeric_limits<float>::infinity(),
                    .age_factor = static_cast<float>(scalars.age_factor),
                    .decay = static_cast<float>(scalars.decay)};
  switch (config.kind) {
    case RuleKind::kSgd:
      return visitor(SgdRule{term, rate});
    case RuleKind::kMomentum:
      return visitor(MomentumRule{term, rate, momentum});
    case RuleKind::kNesterov:
      return visitor(NesterovRule{term, rate, momentum});
    case RuleKind::kDelayedNesterov: {
      RUBATO_CHECK(config.delay > 0);
      const bool last = scalars.update_count % static_cast<std::uint64_t>(config.delay) == 0;
      const double n = static_cast<double>(config.delay), c = config.spread;
      return visitor(DelayedNesterovRule{.term = term,
                                         .rate = rate,
                                         .share = static_cast<float>(1.0 / n),
                                         .keep_m = last ? momentum : 1.0f,
                                         .add_sum = last ? static_cast<float>(1.0 / n) : 0.0f,
                                         .keep_sum = last ? 0.0f : 1.0f,
                                         .weight = static_cast<float>((last ? 1.0 - c * n + c : c) * config.momentum)});
    }
    case RuleKind::kAdam:
    case RuleKind::kAdamW:
      break;
  }
  RUBATO_CHECK(scalars.update_count > 0, "Adam counts updates from 1");
  const bool decoupled = config.kind == RuleKind::kAdamW;
  if (decoupled) term.decay = 0.0f;
  term.age_factor = 1.0f;
  const double t = static_cast<double>(scalars.update_count);
  return visitor(
      AdamRule{.term = term,
               .keep1 = static_cast<float>(config.beta1),
               .add1 = static_cast<float>(1.0 - config.beta1),
               .keep2 = static_cast<float>(config.beta2),
               .add2 = static_cast<float>(1.0 - config.beta2),
               .step = static_cast<float>(scalars.rate * scalars.age_factor / (1.0 - std::pow(config.beta1, t))),
               .inverse_root_v = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(config.beta2, t))),
               .epsilon = static_cast<float>(config.epsilon),
               .shrink = decoupled ? static_cast<float>(1.0 - scalars.rate * scalars.decay) : 1.0f});
}

// Calls `visitor` with the functor that `config` and `scalars` stand for, and returns what it returns.
template <typename Visitor>
auto visit_rule(const RuleConfig& config, const UpdateScalars& scalars, Visitor&& visitor) {
  const float share = static_cast<float>(scalars.average_share);
  return visit_bare_rule(config, scalars, [&](const auto& rule) {
    return share == 0.0f ? visitor(rule) : visitor(Averaged<std::decay_t<decltype(rule)>>{rule, share});
  });
}

inline PartPlanes planes_of(const GradientPart& part, std::span<float> sum, bool first) {
  return {part.gradient.data(),
          part.weights.data(),
          part.read.data(),
          part.mean_square.data(),
          part.next_mean_square.data(),
          sum.data(),
          first};
}

// The same for what a push brings to an update's gradient.
template <typename Visitor>
auto visit_part(const Compensation& compensation, const GradientPart& part, Visitor&& visitor) {
  const float factor = static_cast<float>(part.factor);
  const double samples = static_cast<double>(part.samples);
  const float strength = static_cast<float>(compensation.lambda / samples);
  switch (compensation.kind) {
    case CompensationKind::kNone:
      return visitor(PlainPart{factor});
    case CompensationKind::kConstant:
      return visitor(ConstantPart{factor, strength});
    case CompensationKind::kAdaptive:
      break;
  }
  return visitor(AdaptivePart{.factor = factor,
                              .strength = strength,
                              .scale = static_cast<float>(1.0 / samples),
                              .keep = static_cast<float>(compensation.decay),
                              .add = static_cast<float>(1.0 - compensation.decay)});
}

}  // namespace rubato::kernels
