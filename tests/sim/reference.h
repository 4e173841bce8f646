// Modes on the quadratic, once more, as loops without servers, workers or messages: what simulated runs have to
// end with, bit for bit. The rate is constant, unless said otherwise.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/job.h"
#include "sim/quadratic_workload.h"

namespace rubato::sim {

// Other rates, each from its clock on.
using Rates = std::map<Clock, double>;

// bsp: the weights at clock 0, 1, ... up to the job's end, in the manifest's order, as evaluations see them: with
// evaluation.average their moving average.
[[nodiscard]] std::vector<std::vector<float>> bsp_weights(const Job& job, const QuadraticWorkload& workload,
                                                          const Rates& rates = {});

// backup:0, by epochs: the same. The update of a clock is the mean over all workers, added up by rank.
[[nodiscard]] std::vector<std::vector<float>> shared_weights(const Job& job, const QuadraticWorkload& workload);

// The final weights of a run without deaths and in one slice, from what its trace says of which steps were
// committed, in which order, and of which versions they had read.
[[nodiscard]] std::vector<float> committed_weights(const Job& job, const QuadraticWorkload& workload,
                                                   const std::vector<std::string>& trace);

// As committed_weights, and on arrival too, in float64, under plain descent with whatever the job says of ages: each
// gradient's rate over its age, and compensated for what the weights have moved since.
[[nodiscard]] std::vector<double> weights_by_age(const Job& job, const QuadraticWorkload& workload,
                                                 const std::vector<std::string>& trace);

// What these loops are made of: the weights of the job's seed, the gradient summed over samples in their order
// (nothing of none), and the samples of each worker's clocks where an epoch is dealt into one run of them a worker.
[[nodiscard]] std::vector<float> initial_weights(const Job& job, const QuadraticWorkload& workload);
[[nodiscard]] std::vector<float> leaf_gradient(const QuadraticWorkload& workload, const std::vector<float>& w,
                                               std::span<const std::uint64_t> samples);
class Shares {
 public:
  Shares(const Job& job, const QuadraticWorkload& workload);
  [[nodiscard]] Clock clocks_of_epoch() const;
  [[nodiscard]] std::vector<std::uint64_t> of(std::int64_t worker, Clock clock) const;

 private:
  std::uint64_t seed_;
  std::size_t samples_, workers_, batch_;
};

// The mean of the targets: where the loss is least.
[[nodiscard]] std::vector<float> optimum(const QuadraticWorkload& workload);

// The largest difference of two elements.
[[nodiscard]] float distance(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace rubato::sim
