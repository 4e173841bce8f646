// What one push brings to the gradient of an update, each way written once as a host/device functor: as it is, or
// compensated for the way that the weights have gone since it was computed.
//
// Delay compensation is that of Zheng, Meng, Wang, Chen, Yu, Ma and Liu, "Asynchronous stochastic gradient descent
// with delay compensation", ICML 2017. A gradient g, computed on the weights w_read, comes to be applied to w. The
// first two terms of its Taylor expansion around w_read, with lambda times the diagonal of g g^T for the Hessian, are
//   g' = g + lambda g * g * (w - w_read)                          their equation 10, applied in algorithm 2
//   constant  (DC-ASGD-c)  lambda as it is given                  0.04 in their experiments on CIFAR-10
//   adaptive  (DC-ASGD-a)  lambda / sqrt(MeanSquare + 1e-7) for lambda, 2 there, with
//                          MeanSquare = m MeanSquare + (1 - m) g * g                           m = 0.95
// all of them element by element. There is one MeanSquare for all workers, of their gradients in the order in which
// they are applied, as in the paper (the authors' program keeps one for each worker).
//
// g is the mean over the samples of the push, and G below their sum, as it was pushed: what is added is put so that a
// gradient whose weights have not moved keeps its bits, whatever they are.
//
// Device code includes this header, as it does kernels/update_rule.h.
#pragma once

#include <cmath>
#include <cstddef>

#include "kernels/update_rule.h"

namespace rubato::kernels {

// Each takes G, the way `moved` from w_read to w, and the mean square to be updated.
struct PlainPart {
  static constexpr bool kCompensates = false, kAdapts = false;
  float factor;  // its weight in the sum

  RUBATO_HOST_DEVICE float operator()(float gradient, float /*moved*/, float& /*mean_square*/) const {
    return factor * gradient;
  }
};

struct ConstantPart {
  static constexpr bool kCompensates = true, kAdapts = false;
  float factor;
  float strength;  // lambda / samples

  RUBATO_HOST_DEVICE float operator()(float gradient, float moved, float& /*mean_square*/) const {
    return factor * (gradient + strength * moved * gradient * gradient);
  }
};

struct AdaptivePart {
  static constexpr bool kCompensates = true, kAdapts = true;
  float factor;
  float strength;   // lambda / samples
  float scale;      // 1 / samples
  float keep, add;  // m, 1 - m

  RUBATO_HOST_DEVICE float operator()(float gradient, float moved, float& mean_square) const {
    const float g = scale * gradient;
    mean_square = keep * mean_square + add * g * g;
    return factor * (gradient + strength / sqrtf(mean_square + 1e-7f) * moved * gradient * gradient);
  }
};

// Bare pointers for the launchers. Those that a functor does not need are never touched.
struct PartPlanes {
  const float* gradient;
  const float* weight;
  const float* read;
  const float* mean_square;
  float* next_mean_square;
  float* sum;
  bool first;  // of the sum: what is there does not count
};

// The body of either launcher's loop.
template <typename Part>
RUBATO_HOST_DEVICE inline void add_element(const Part& part, const PartPlanes& planes, std::size_t i) {
  float moved = 0.0f, mean_square = 0.0f;
  if constexpr (Part::kCompensates) moved = planes.weight[i] - planes.read[i];
  if constexpr (Part::kAdapts) mean_square = planes.mean_square[i];
  const float value = part(planes.gradient[i], moved, mean_square);
  if constexpr (Part::kAdapts) planes.next_mean_square[i] = mean_square;
  planes.sum[i] = planes.first ? value : planes.sum[i] + value;
}

}  // namespace rubato::kernels
