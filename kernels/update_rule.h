// The update rules, each written once as a host/device functor from one element to the next. The CPU
// loop (kernels/cpu/apply_rule.cc) and the CUDA kernel (kernels/cuda/update_rules.cu) are two launchers
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
// and for all but adamw  g = a clip(scale * gradient) + d w,  d being the weight decay (L2).
//
// The age factor a, 1 unless old gradients are to count less, divides the rate of the gradient alone (Zhang, Gupta,
// Lian and Liu, "Staleness-aware async-SGD for distributed deep learning", IJCAI 2016, equation 3: a = 1 / age):
//   sgd, momentum, nesterov   what is pushed enters g, and with it v, a times, clipped before; decay enters whole. All
//                             of these are linear in g: r a is the rate of this gradient, for good, and r that of decay
//   adam, adamw               a factor in g would be divided away again by sqrt(v): m and v take g whole, and the step
//                             has the rate r a. So it has the decay of adam, which is a part of g; that of adamw has r
//
// Servers in local:H take deltas for gradients, under an outer rule with a rate e of its own:
//   average            w -= g, which is sgd with rate 1: the mean of the workers' weights    Stich, ICLR 2019
//   nesterov           as above: DiLoCo, with e = 0.7, mu = 0.9          Douillard et al. 2023, algorithm 1
//   delayed_nesterov   D += g                                            Liu et al., "Asynchronous Local-SGD
//              every N-th: m = mu m + D / N;  D = 0                      Training for Language Modeling", 2024,
//                          w -= e ((1 - c N + c) mu m + g / N)           algorithm 3
//              others:     w -= e (c mu m + g / N)
// In N updates the last one moves w by the mean of all N deltas and one part of momentum in all, as nesterov
// would by their mean at once; c <= 1 / N spreads the momentum over them.
//
// Behind any of them the moving average of the weights may be moved, with decay d in the t-th update:
//   a += (1 - min(d, (1 + t) / (10 + t))) (w - a)           TensorFlow, train.ExponentialMovingAverage(num_updates=t)
// With d alone an average would stay near the initial weights for some 1 / (1 - d) updates.
//
// Whatever depends only on the update and not on the element is computed once, in double, by
// kernels/visit_rule.h, and rounded to float there.
//
// Device code includes this header: it depends on no library that nvcc might not take.
#pragma once

#include <cmath>
#include <cstddef>

#include "kernels/host_device.h"

namespace rubato::kernels {

inline constexpr std::size_t kStatePlanesMax = 2;
// With the average.
inline constexpr std::size_t kCellPlanesMax = kStatePlanesMax + 1;

// One element: its weight, the rule's state, and behind that the average, if one is kept.
struct Cell {
  float weight = 0.0f;
  float state[kCellPlanesMax] = {};
};

// From the gradient as it was pushed to the g of the formulas.
struct GradientTerm {
  float scale, clip, age_factor, decay;

  RUBATO_HOST_DEVICE float operator()(float gradient, float weight) const {
    float g = gradient * scale;
    // Two selections one after the other, not fmin and fmax: they vectorize, and a NaN stays one.
    g = g < -clip ? -clip : g;
    g = g > clip ? clip : g;
    return age_factor * g + decay * weight;
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

// adam and adamw: `shrink` is 1 for the one, term.decay is 0 for the other; term.age_factor is 1 for both.
struct AdamRule {
  static constexpr std::size_t kPlanes = 2;
  GradientTerm term;
  float keep1, add1;              // b1, 1 - b1
  float keep2, add2;              // b2, 1 - b2
  float step;                     // r a / (1 - b1^t)
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

struct DelayedNesterovRule {
  static constexpr std::size_t kPlanes = 2;  // m, D
  GradientTerm term;
  float rate, share;      // e, 1 / N
  float keep_m, add_sum;  // of every N-th update mu and 1 / N, of others 1 and 0
  float keep_sum;         // 0, 1
  float weight;           // (1 - c N + c) mu, c mu

  RUBATO_HOST_DEVICE Cell operator()(Cell cell, float gradient) const {
    const float g = term(gradient, cell.weight);
    const float sum = cell.state[1] + g;
    cell.state[0] = keep_m * cell.state[0] + add_sum * sum;
    cell.state[1] = keep_sum * sum;
    cell.weight -= rate * (weight * cell.state[0] + share * g);
    return cell;
  }
};

// Any of them, and the average of the weights, which is a plane more to it.
template <typename Rule>
struct Averaged {
  static constexpr std::size_t kPlanes = Rule::kPlanes + 1;
  Rule rule;
  float share;  // of the new weight

  RUBATO_HOST_DEVICE Cell operator()(Cell cell, float gradient) const {
    cell = rule(cell, gradient);
    float& average = cell.state[Rule::kPlanes];
    average += share * (cell.weight - average);
    return cell;
  }
};

// The planes that an update reads and writes, as bare pointers for the launchers. Those beyond the
// rule's kPlanes are never touched.
struct Planes {
  const float* weight;
  const float* state[kCellPlanesMax];
  const float* gradient;
  float* next_weight;
  float* next_state[kCellPlanesMax];
};

// The body of either launcher's loop, for a gradient from wherever it is.
template <typename Rule>
RUBATO_HOST_DEVICE inline void update_element(const Rule& rule, const Planes& planes, std::size_t i, float gradient) {
  Cell cell;
  cell.weight = planes.weight[i];
  if constexpr (Rule::kPlanes > 0) cell.state[0] = planes.state[0][i];
  if constexpr (Rule::kPlanes > 1) cell.state[1] = planes.state[1][i];
  if constexpr (Rule::kPlanes > 2) cell.state[2] = planes.state[2][i];
  cell = rule(cell, gradient);
  planes.next_weight[i] = cell.weight;
  if constexpr (Rule::kPlanes > 0) planes.next_state[0][i] = cell.state[0];
  if constexpr (Rule::kPlanes > 1) planes.next_state[1][i] = cell.state[1];
  if constexpr (Rule::kPlanes > 2) planes.next_state[2][i] = cell.state[2];
}

template <typename Rule>
RUBATO_HOST_DEVICE inline void update_element(const Rule& rule, const Planes& planes, std::size_t i) {
  update_element(rule, planes, i, planes.gradient[i]);
}

}  // namespace rubato::kernels
