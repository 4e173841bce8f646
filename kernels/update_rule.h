// The update rules, each written once as a host/device functor from one element to the next. The CPU
// loop (kernels/cpu/apply_rule.cc) and the CUDA kernel (kernels/cuda/apply_rule.cu) are two launchers
// of it, and give the same bits: every operation below is a single IEEE one (compile without
// contraction, -ffp-contract=off and --fmad=false, and without fast division or square root).
//
// The formulas are PyTorch's (torch.optim), w the weight, g the gradient term, r the rate:
//   sgd        w -= r g
//   momentum   v = mu v + g;  w -= r v                      Polyak 1964, "Some methods of speeding up ..."
//   nesterov   v = mu v + g;  w -= r (g + mu v)             Sutskever et al., ICML 2013
//   adam       m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2                    Kingma and Ba, ICLR 2015
//              w -= r / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)
//   adamw      w *= 1 - r d, then as adam, without d in g                  Loshchilov and Hutter, ICLR 2019
// and for all but adamw  g = clip(scale * gradient) + d w,  d being the weight decay (L2).
//
// Whatever depends only on the update and not on the element is computed once, in double, by
// visit_rule, and rounded to float there.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>

#include "base/check.h"
#include "kernels/rule_config.h"

#ifdef __CUDACC__
#define RUBATO_HOST_DEVICE __host__ __device__
#else
#define RUBATO_HOST_DEVICE
#endif

namespace rubato::kernels {

// One element: its weight and the rule's state.
struct Cell {
  float weight = 0.0f;
  float state[kStatePlanesMax] = {};
};

// From the gradient as it was pushed to the g of the formulas.
struct GradientTerm {
  float scale, clip, decay;

  RUBATO_HOST_DEVICE float operator()(float gradient, float weight) const {
    float g = gradient * scale;
    // Two selections one after the other, not fmin and fmax: they vectorize, and a NaN stays one.
    g = g < -clip ? -clip : g;
    g = g > clip ? clip : g;
    return g + decay * weight;
  }
};

struct SgdRule {
  static constexpr std::size_t kPlanes = 0;
  GradientTerm term;
  float rate;

  RUBATO_HOST_DEVICE Cell operator()(Cell cell, float gradient) const {
    cell.weight -= rate * term(gradient, cell.weight);
    return cell;
  }
};

struct MomentumRule {
  static constexpr std::size_t kPlanes = 1;
  GradientTerm term;
  float rate, momentum;

  RUBATO_HOST_DEVICE Cell operator()(Cell cell, float gradient) const {
    cell.state[0] = momentum * cell.state[0] + term(gradient, cell.weight);
    cell.weight -= rate * cell.state[0];
    return cell;
  }
};

struct NesterovRule {
  static constexpr std::size_t kPlanes = 1;
  GradientTerm term;
  float rate, momentum;

  RUBATO_HOST_DEVICE Cell operator()(Cell cell, float gradient) const {
    const float g = term(gradient, cell.weight);
    cell.state[0] = momentum * cell.state[0] + g;
    cell.weight -= rate * (g + momentum * cell.state[0]);
    return cell;
  }
};

// adam and adamw: `shrink` is 1 for the one, term.decay is 0 for the other.
struct AdamRule {
  static constexpr std::size_t kPlanes = 2;
  GradientTerm term;
  float keep1, add1;              // b1, 1 - b1
  float keep2, add2;              // b2, 1 - b2
  float step;                     // r / (1 - b1^t)
  float inverse_root_v, epsilon;  // 1 / sqrt(1 - b2^t)
  float shrink;                   // 1 - r d

  RUBATO_HOST_DEVICE Cell operator()(Cell cell, float gradient) const {
    const float g = term(gradient, cell.weight);
    cell.state[0] = keep1 * cell.state[0] + add1 * g;
    cell.state[1] = keep2 * cell.state[1] + add2 * g * g;
    const float denominator = sqrtf(cell.state[1]) * inverse_root_v + epsilon;
    cell.weight = shrink * cell.weight - step * cell.state[0] / denominator;
    return cell;
  }
};

// The planes that an update reads and writes, as bare pointers for the launchers. Those beyond the
// rule's kPlanes are never touched.
struct Planes {
  const float* weight;
  const float* state[kStatePlanesMax];
  const float* gradient;
  float* next_weight;
  float* next_state[kStatePlanesMax];
};

inline Planes planes_of(const ConstSlotView& current, std::span<const float> gradient, const SlotView& next) {
  return {current.weights.data(),
          {current.state[0].data(), current.state[1].data()},
          gradient.data(),
          next.weights.data(),
          {next.state[0].data(), next.state[1].data()}};
}

// The body of either launcher's loop.
template <typename Rule>
RUBATO_HOST_DEVICE inline void update_element(const Rule& rule, const Planes& planes, std::size_t i) {
  Cell cell;
  cell.weight = planes.weight[i];
  if constexpr (Rule::kPlanes > 0) cell.state[0] = planes.state[0][i];
  if constexpr (Rule::kPlanes > 1) cell.state[1] = planes.state[1][i];
  cell = rule(cell, planes.gradient[i]);
  planes.next_weight[i] = cell.weight;
  if constexpr (Rule::kPlanes > 0) planes.next_state[0][i] = cell.state[0];
  if constexpr (Rule::kPlanes > 1) planes.next_state[1][i] = cell.state[1];
}

// Calls `visitor` with the functor that `config` and `scalars` stand for, and returns what it returns.
template <typename Visitor>
auto visit_rule(const RuleConfig& config, const UpdateScalars& scalars, Visitor&& visitor) {
  const float rate = static_cast<float>(scalars.rate), momentum = static_cast<float>(config.momentum);
  GradientTerm term{.scale = static_cast<float>(scalars.gradient_scale),
                    .clip = scalars.clip_value > 0.0 ? static_cast<float>(scalars.clip_value)
                                                     : std::numeric_limits<float>::infinity(),
                    .decay = static_cast<float>(scalars.decay)};
  switch (config.kind) {
    case RuleKind::kSgd:
      return visitor(SgdRule{term, rate});
    case RuleKind::kMomentum:
      return visitor(MomentumRule{term, rate, momentum});
    case RuleKind::kNesterov:
      return visitor(NesterovRule{term, rate, momentum});
    case RuleKind::kAdam:
    case RuleKind::kAdamW:
      break;
  }
  RUBATO_CHECK(scalars.update_count > 0, "Adam counts updates from 1");
  const bool decoupled = config.kind == RuleKind::kAdamW;
  if (decoupled) term.decay = 0.0f;
  const double t = static_cast<double>(scalars.update_count);
  return visitor(AdamRule{.term = term,
                          .keep1 = static_cast<float>(config.beta1),
                          .add1 = static_cast<float>(1.0 - config.beta1),
                          .keep2 = static_cast<float>(config.beta2),
                          .add2 = static_cast<float>(1.0 - config.beta2),
                          .step = static_cast<float>(scalars.rate / (1.0 - std::pow(config.beta1, t))),
                          .inverse_root_v = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(config.beta2, t))),
                          .epsilon = static_cast<float>(config.epsilon),
                          .shrink = decoupled ? static_cast<float>(1.0 - scalars.rate * scalars.decay) : 1.0f});
}

}  // namespace rubato::kernels
