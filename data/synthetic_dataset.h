// Points made from the seed, for the quadratic: sample i is a target vector x_i with elements
//
//   x_i[j] = center[j] + noise_i[j],   center[j] in [-1, 1), noise_i[j] in [-1/2, 1/2),
//
// each a pure function of (seed, i, j), computed when asked for: nothing is stored. Training and test
// samples share the center and differ in noise; there is a quarter as many test samples, rounded up.
#pragma once

#include <memory>

#include "data/dataset.h"

namespace rubato::data {

[[nodiscard]] std::unique_ptr<Dataset> make_synthetic_dataset(const Job& job, Split split);

}  // namespace rubato::data
