#include "tests/sim/reference.h"

#include <algorithm>
#include <cmath>

#include "data/permutation.h"
#include "kernels/cpu/apply_rule.h"
#include "kernels/initialize.h"
#include "kernels/rule_config.h"

namespace rubato::sim {
namespace {

// The leaves [first, first + count) that exist, count being a power of two: the sum of both halves.
std::vector<float> tree_sum(const std::vector<std::vector<float>>& leaves, std::size_t first, std::size_t count) {
  if (first >= leaves.size()) return {};
  if (count == 1) return leaves[first];
  std::vector<float> sum = tree_sum(leaves, first, count / 2);
  const std::vector<float> right = tree_sum(leaves, first + count / 2, count / 2);
  if (sum.empty()) return right;
  for (std::size_t i = 0; i < right.size(); ++i) sum[i] += right[i];
  return sum;
}

std::vector<float> leaf_gradient(const QuadraticWorkload& workload, const std::vector<float>& w,
                                 std::span<const std::uint64_t> samples) {
  if (samples.empty()) return {};
  std::vector<double> sums(w.size());
  for (const std::uint64_t sample : samples)
    for (std::size_t i = 0; i < w.size(); ++i)
      sums[i] += static_cast<double>(w[i]) - static_cast<double>(workload.target(sample)[i]);
  return {sums.begin(), sums.end()};
}

}  // namespace

std::vector<std::vector<float>> bsp_weights(const Job& job, const QuadraticWorkload& workload) {
  const kernels::RuleConfig rule = kernels::make_rule(job.optimizer).value();
  const auto batch = static_cast<std::size_t>(job.train.batch),
             leaves = static_cast<std::size_t>(job.train.micro_batches);
  std::size_t tree = 1;
  while (tree < leaves) tree *= 2;

  const protocol::Manifest manifest = workload.manifest();
  std::vector<float> w(workload.size());
  for (std::size_t parameter = 0; parameter < manifest.size(); ++parameter) {
    const ParameterSpec& spec = manifest[parameter];
    kernels::initialize(
        spec, job.train.seed, 0,
        std::span<float>(w).subspan(workload.first_element(parameter), static_cast<std::size_t>(spec.elements())));
  }
  std::vector<std::vector<float>> state(kernels::kStatePlanesMax, std::vector<float>(w.size()));
  kernels::SlotView slot{w, {}};
  for (std::size_t plane = 0; plane < kernels::state_planes(rule.kind); ++plane) slot.state[plane] = state[plane];

  std::vector<std::vector<float>> history{w};
  for (std::uint64_t epoch = 0;; ++epoch) {
    const std::vector<std::uint64_t> order = data::permutation(job.train.seed, epoch, workload.train_samples());
    for (std::size_t at = 0; at < order.size(); at += batch) {
      const auto clock = static_cast<std::int64_t>(history.size()) - 1;
      if (job.train.steps > 0 && clock == job.train.steps) return history;
      const std::size_t count = std::min(batch, order.size() - at), shortest = count / leaves, longer = count % leaves;
      std::vector<std::vector<float>> gradients;
      std::size_t first = at;
      for (std::size_t leaf = 0; leaf < leaves; ++leaf) {
        const std::size_t size = shortest + (leaf < longer ? 1 : 0);
        gradients.push_back(leaf_gradient(workload, w, std::span(order).subspan(first, size)));
        first += size;
      }
      const std::vector<float> sum = tree_sum(gradients, 0, tree);
      const auto scalars = kernels::update_scalars(rule, manifest.front(), job.optimizer.rate,
                                                   1.0 / static_cast<double>(count), history.size());
      kernels::cpu::apply_rule(rule, scalars, slot, sum, slot);
      history.push_back(w);
    }
    if (job.train.steps == 0 && epoch + 1 == static_cast<std::uint64_t>(job.train.epochs)) return history;
  }
}

std::vector<float> optimum(const QuadraticWorkload& workload) {
  std::vector<double> sums(workload.size());
  for (std::uint64_t sample = 0; sample < workload.train_samples(); ++sample)
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(workload.target(sample)[i]);
  std::vector<float> mean;
  for (const double sum : sums) mean.push_back(static_cast<float>(sum / static_cast<double>(workload.train_samples())));
  return mean;
}

float distance(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  float largest = 0.0f;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace rubato::sim
