// Local steps (mode local:H) on the quadratic, once more, as loops without servers, workers or messages: what
// simulated runs have to end with, bit for bit. The outer rules are written out; the rate is constant.
#pragma once

#include <string>
#include <vector>

#include "tests/sim/reference.h"

namespace rubato::sim {

// local:H, by epochs: the weights at clock 0, 1, ... An update is made of the mean of all workers' deltas, weighted
// by samples and added up by rank.
[[nodiscard]] std::vector<std::vector<float>> local_weights(const Job& job, const QuadraticWorkload& workload);

// The final weights of local:H+MODE on arrival, without deaths and in one slice, from what the run's trace says of
// the order in which deltas were applied, and of which versions their workers had read.
[[nodiscard]] std::vector<float> arrived_weights(const Job& job, const QuadraticWorkload& workload,
                                                 const std::vector<std::string>& trace);

}  // namespace rubato::sim
