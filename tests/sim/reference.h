// bsp on the quadratic, once more, as one loop without servers, workers or messages: what every simulated
// bsp run has to end with, bit for bit.
#pragma once

#include <vector>

#include "base/job.h"
#include "sim/quadratic_workload.h"

namespace rubato::sim {

// The weights at clock 0, 1, ... up to the job's end, in the manifest's order. The rate is constant.
[[nodiscard]] std::vector<std::vector<float>> bsp_weights(const Job& job, const QuadraticWorkload& workload);

// The mean of the targets: where the loss is least.
[[nodiscard]] std::vector<float> optimum(const QuadraticWorkload& workload);

// The largest difference of two elements.
[[nodiscard]] float distance(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace rubato::sim
