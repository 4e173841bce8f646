// Losses of one score, in double, for every device.
//
// Thread-safety: pure.
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace rubato::kernels {

RUBATO_HOST_DEVICE inline double sigmoid(double score) { return 1.0 / (1.0 + exp(-score)); }

// max(s, 0) - s t + log(1 + exp(-|s|)): no overflow for any score.
RUBATO_HOST_DEVICE inline double binary_cross_entropy(double score, double target) {
  return (score > 0.0 ? score : 0.0) - score * target + log1p(exp(-fabs(score)));
}
RUBATO_HOST_DEVICE inline double binary_cross_entropy_slope(double score, double target) {
  return sigmoid(score) - target;
}

RUBATO_HOST_DEVICE inline double squared_error(double score, double target) {
  return (score - target) * (score - target);
}
RUBATO_HOST_DEVICE inline double squared_error_slope(double score, double target) { return 2.0 * (score - target); }

}  // namespace rubato::kernels
