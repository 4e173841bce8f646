#include "tests/sim/reference.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

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

void add(std::vector<float>& sum, const std::vector<float>& gradient) {
  if (sum.empty()) {
    sum = gradient;
    return;
  }
  for (std::size_t i = 0; i < gradient.size(); ++i) sum[i] += gradient[i];
}

// The weights, and every state that they went through.
class Descent {
 public:
  Descent(const Job& job, const QuadraticWorkload& workload, const Rates& rates = {})
      : rates_(rates),
        rule_(kernels::make_rule(job.optimizer).value()),
        manifest_(workload.manifest()),
        weights_(initial_weights(job, workload)),
        state_(kernels::kStatePlanesMax, std::vector<float>(workload.size())),
        decay_(job.evaluation.average) {
    rates_.emplace(0, job.optimizer.rate);
    history_.push_back(weights_);
  }

  void update(const std::vector<float>& sum, std::size_t samples) {
    if (samples > 0) {
      kernels::SlotView slot{weights_, {}};
      for (std::size_t plane = 0; plane < kernels::state_planes(rule_.kind); ++plane) slot.state[plane] = state_[plane];
      const auto scalars = kernels::update_scalars(rule_, manifest_.front(), rate(), 1.0 / static_cast<double>(samples),
                                                   history_.size());
      kernels::cpu::apply_rule(rule_, scalars, slot, sum, slot);
    }
    history_.push_back(weights_);
  }
  [[nodiscard]] const std::vector<float>& weights() const { return weights_; }
  [[nodiscard]] const std::vector<std::vector<float>>& history() const { return history_; }
  [[nodiscard]] std::vector<std::vector<float>> evaluated() const {
    std::vector<std::vector<float>> averages = history_;
    for (std::size_t t = 1; decay_ > 0.0 && t < history_.size(); ++t) {
      const double updates = static_cast<double>(t);
      const auto share = static_cast<float>(1.0 - std::min(decay_, (1.0 + updates) / (10.0 + updates)));
      for (std::size_t i = 0; i < weights_.size(); ++i)
        averages[t][i] = averages[t - 1][i] + share * (history_[t][i] - averages[t - 1][i]);
    }
    return averages;
  }
  [[nodiscard]] std::int64_t updates() const { return static_cast<std::int64_t>(history_.size()) - 1; }

 private:
  [[nodiscard]] double rate() const { return std::prev(rates_.upper_bound(updates()))->second; }

  Rates rates_;
  kernels::RuleConfig rule_;
  protocol::Manifest manifest_;
  std::vector<float> weights_;
  std::vector<std::vector<float>> state_, history_;
  double decay_;
};

}  // namespace

std::vector<float> leaf_gradient(const QuadraticWorkload& workload, const std::vector<float>& w,
                                 std::span<const std::uint64_t> samples) {
  if (samples.empty()) return {};
  std::vector<double> sums(w.size());
  for (const std::uint64_t sample : samples)
    for (std::size_t i = 0; i < w.size(); ++i)
      sums[i] += static_cast<double>(w[i]) - static_cast<double>(workload.target(sample)[i]);
  return {sums.begin(), sums.end()};
}

std::vector<float> initial_weights(const Job& job, const QuadraticWorkload& workload) {
  std::vector<float> weights(workload.size());
  const protocol::Manifest manifest = workload.manifest();
  for (std::size_t parameter = 0; parameter < manifest.size(); ++parameter) {
    const ParameterSpec& spec = manifest[parameter];
    kernels::initialize(spec, job.train.seed, 0,
                        std::span<float>(weights).subspan(workload.first_element(parameter),
                                                          static_cast<std::size_t>(spec.elements())));
  }
  return weights;
}

Shares::Shares(const Job& job, const QuadraticWorkload& workload)
    : seed_(job.train.seed),
      samples_(workload.train_samples()),
      workers_(static_cast<std::size_t>(job.cluster.workers)),
      batch_(static_cast<std::size_t>(job.train.batch * parse_mode(job.consistency.mode)->steps_per_clock())) {}

Clock Shares::clocks_of_epoch() const {
  const std::size_t largest = (samples_ + workers_ - 1) / workers_;
  return static_cast<Clock>((largest + batch_ - 1) / batch_);
}

std::vector<std::uint64_t> Shares::of(std::int64_t worker, Clock clock) const {
  const auto rank = static_cast<std::size_t>(worker);
  const std::size_t size = samples_ / workers_ + (rank < samples_ % workers_ ? 1 : 0);
  const std::size_t first = rank * (samples_ / workers_) + std::min(rank, samples_ % workers_);
  const std::size_t skipped = std::min(static_cast<std::size_t>(clock % clocks_of_epoch()) * batch_, size);
  const auto order = data::permutation(seed_, static_cast<std::uint64_t>(clock / clocks_of_epoch()), samples_);
  const auto begin = order.begin() + static_cast<std::ptrdiff_t>(first + skipped);
  return {begin, begin + static_cast<std::ptrdiff_t>(std::min(batch_, size - skipped))};
}

std::vector<std::vector<float>> bsp_weights(const Job& job, const QuadraticWorkload& workload, const Rates& rates) {
  const auto batch = static_cast<std::size_t>(job.train.batch),
             leaves = static_cast<std::size_t>(job.train.micro_batches);
  std::size_t tree = 1;
  while (tree < leaves) tree *= 2;

  Descent descent(job, workload, rates);
  for (std::uint64_t epoch = 0;; ++epoch) {
    const std::vector<std::uint64_t> order = data::permutation(job.train.seed, epoch, workload.train_samples());
    for (std::size_t at = 0; at < order.size(); at += batch) {
      if (job.train.steps > 0 && descent.updates() == job.train.steps) return descent.evaluated();
      const std::size_t count = std::min(batch, order.size() - at), shortest = count / leaves, longer = count % leaves;
      std::vector<std::vector<float>> gradients;
      std::size_t first = at;
      for (std::size_t leaf = 0; leaf < leaves; ++leaf) {
        const std::size_t size = shortest + (leaf < longer ? 1 : 0);
        gradients.push_back(leaf_gradient(workload, descent.weights(), std::span(order).subspan(first, size)));
        first += size;
      }
      descent.update(tree_sum(gradients, 0, tree), count);
    }
    if (job.train.steps == 0 && epoch + 1 == static_cast<std::uint64_t>(job.train.epochs)) return descent.evaluated();
  }
}

std::vector<std::vector<float>> shared_weights(const Job& job, const QuadraticWorkload& workload) {
  Descent descent(job, workload);
  const Shares shares(job, workload);
  for (Clock clock = 0; clock < job.train.epochs * shares.clocks_of_epoch(); ++clock) {
    std::vector<float> sum;
    std::size_t samples = 0;
    for (std::int64_t rank = 0; rank < job.cluster.workers; ++rank) {
      const std::vector<std::uint64_t> mine = shares.of(rank, clock);
      add(sum, leaf_gradient(workload, descent.weights(), mine));
      samples += mine.size();
    }
    descent.update(sum, samples);
  }
  return descent.evaluated();
}

std::vector<float> committed_weights(const Job& job, const QuadraticWorkload& workload,
                                     const std::vector<std::string>& trace) {
  std::map<std::pair<std::int64_t, Clock>, std::size_t> used;  // versions
  std::map<std::uint64_t, std::vector<std::pair<std::int64_t, Clock>>> commits;
  for (const std::string& text : trace) {
    const auto line = nlohmann::json::parse(text);
    const auto step = [&] { return std::pair(line["worker"].get<std::int64_t>(), line["clock"].get<Clock>()); };
    if (line["event"] == "use") used[step()] = line["version"];
    if (line["event"] == "commit") commits[line["number"]];
    if (line["event"] == "contributor") commits[line["number"]].push_back(step());
  }
  Descent descent(job, workload);
  const Shares shares(job, workload);
  for (const auto& [number, steps] : commits) {
    std::vector<float> sum;
    std::size_t samples = 0;
    for (const auto& [rank, clock] : steps) {
      const std::vector<std::uint64_t> mine = shares.of(rank, clock);
      add(sum, leaf_gradient(workload, descent.history().at(used.at({rank, clock})), mine));
      samples += mine.size();
    }
    descent.update(sum, samples);
  }
  return descent.weights();
}

namespace {

// (worker, clock) of the pushes of each update, in order, and the versions that they were computed on.
struct Updates {
  std::map<std::uint64_t, std::vector<std::pair<std::int64_t, Clock>>> steps;
  std::map<std::pair<std::int64_t, Clock>, std::size_t> used;
};

Updates updates_of(const std::vector<std::string>& trace) {
  Updates updates;
  for (const std::string& text : trace) {
    const auto line = nlohmann::json::parse(text);
    const auto step = [&] { return std::pair(line["worker"].get<std::int64_t>(), line["clock"].get<Clock>()); };
    const bool applied = line["event"] == "settle" && line["fate"] == 1;
    if (line["event"] == "use") updates.used[step()] = line["version"];
    if (line["event"] == "commit") updates.steps[line["number"]];
    if (line["event"] == "contributor") updates.steps[line["number"]].push_back(step());
    if (applied) updates.steps[line["version"]].push_back(step());
  }
  return updates;
}

}  // namespace

std::vector<double> weights_by_age(const Job& job, const QuadraticWorkload& workload,
                                   const std::vector<std::string>& trace) {
  const CompensationConfig& compensation = job.optimizer.compensation;
  const std::vector<float> initial = Descent(job, workload).weights();
  std::vector<double> mean_square(initial.size());
  std::vector<std::vector<double>> history{{initial.begin(), initial.end()}};
  const Updates updates = updates_of(trace);
  const Shares shares(job, workload);
  for (const auto& [number, steps] : updates.steps) {
    std::vector<double> weights = history.back(), step(weights.size());
    double samples = 0.0;
    for (const auto& [rank, clock] : steps) {
      const std::size_t used = updates.used.at({rank, clock});
      const std::vector<std::uint64_t> mine = shares.of(rank, clock);
      const auto n = static_cast<double>(mine.size());
      const double age = static_cast<double>(history.size() - 1 - used);
      samples += n;
      for (std::size_t i = 0; i < weights.size() && n > 0; ++i) {
        double sum = 0.0, lambda = 0.0;
        for (const std::uint64_t sample : mine)
          sum += history[used][i] - static_cast<double>(workload.target(sample)[i]);
        const double g = sum / n;
        mean_square[i] = compensation.decay * mean_square[i] + (1.0 - compensation.decay) * g * g;
        if (compensation.name == "constant") lambda = compensation.lambda;
        if (compensation.name == "adaptive") lambda = compensation.lambda / std::sqrt(mean_square[i] + 1e-7);
        const double compensated = g + lambda * g * g * (history.back()[i] - history[used][i]);
        step[i] += n * compensated / (job.optimizer.age_scaling == "inverse" ? std::max(1.0, age) : 1.0);
      }
    }
    for (std::size_t i = 0; i < weights.size() && samples > 0; ++i)
      weights[i] -= job.optimizer.rate * step[i] / samples;
    history.push_back(std::move(weights));
  }
  return history.back();
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
