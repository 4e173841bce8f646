#include "tests/sim/local_reference.h"

#include <map>
#include <nlohmann/json.hpp>

#include "kernels/cpu/apply_rule.h"
#include "kernels/rule_config.h"

namespace rubato::sim {
namespace {

// What a worker keeps from clock to clock, and what a clock does to its copy of the weights.
class LocalWorker {
 public:
  LocalWorker(const Job& job, const QuadraticWorkload& workload)
      : job_(job),
        workload_(workload),
        rule_(kernels::make_rule(job.optimizer).value()),
        state_(kernels::kStatePlanesMax, std::vector<float>(workload.size())) {}

  // How far the steps over these samples take it.
  std::vector<float> delta(const std::vector<float>& pulled, std::span<const std::uint64_t> samples) {
    std::vector<float> own = pulled;
    while (!samples.empty()) {
      const auto step = samples.first(std::min(samples.size(), static_cast<std::size_t>(job_.train.batch)));
      samples = samples.subspan(step.size());
      kernels::SlotView slot{own, {}};
      for (std::size_t plane = 0; plane < kernels::state_planes(rule_.kind); ++plane) slot.state[plane] = state_[plane];
      const auto scalars = kernels::update_scalars(rule_, workload_.manifest().front(), job_.optimizer.rate,
                                                   1.0 / static_cast<double>(step.size()), ++updates_);
      kernels::cpu::apply_rule(rule_, scalars, slot, leaf_gradient(workload_, own, step), slot);
    }
    std::vector<float> delta;
    for (std::size_t i = 0; i < own.size(); ++i) delta.push_back(pulled[i] - own[i]);
    return delta;
  }

 private:
  const Job& job_;
  const QuadraticWorkload& workload_;
  kernels::RuleConfig rule_;
  std::vector<std::vector<float>> state_;
  std::uint64_t updates_ = 0;
};

// The weights, every state that they went through, and the outer rule.
class Outer {
 public:
  Outer(const Job& job, const QuadraticWorkload& workload)
      : outer_(job.optimizer.outer),
        delay_(outer_.delay > 0 ? outer_.delay : job.cluster.workers),
        weights_(initial_weights(job, workload)),
        momentum_(weights_.size()),
        sum_(weights_.size()),
        history_{weights_} {}

  void update(const std::vector<float>& delta) {
    const auto rate = static_cast<float>(outer_.rate), mu = static_cast<float>(outer_.momentum);
    const double n = static_cast<double>(delay_), c = outer_.spread;
    const bool last = history_.size() % static_cast<std::size_t>(delay_) == 0;
    const auto part = static_cast<float>(1.0 / n),
               weight = static_cast<float>((last ? 1.0 - c * n + c : c) * outer_.momentum);
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      if (outer_.name == "average") {
        weights_[i] -= delta[i];
      } else if (outer_.name == "nesterov") {
        momentum_[i] = mu * momentum_[i] + delta[i];
        weights_[i] -= rate * (delta[i] + mu * momentum_[i]);
      } else {
        sum_[i] += delta[i];
        if (last) {
          momentum_[i] = mu * momentum_[i] + part * sum_[i];
          sum_[i] = 0.0f;
        }
        weights_[i] -= rate * (weight * momentum_[i] + part * delta[i]);
      }
    }
    history_.push_back(weights_);
  }
  [[nodiscard]] const std::vector<float>& weights() const { return weights_; }
  [[nodiscard]] const std::vector<std::vector<float>>& history() const { return history_; }

 private:
  OuterConfig outer_;
  std::int64_t delay_;
  std::vector<float> weights_, momentum_, sum_;
  std::vector<std::vector<float>> history_;
};

}  // namespace

std::vector<std::vector<float>> local_weights(const Job& job, const QuadraticWorkload& workload) {
  const Shares shares(job, workload);
  std::vector<LocalWorker> workers(static_cast<std::size_t>(job.cluster.workers), LocalWorker(job, workload));
  Outer outer(job, workload);
  for (Clock clock = 0; clock < job.train.epochs * shares.clocks_of_epoch(); ++clock) {
    std::vector<std::pair<std::vector<float>, std::size_t>> deltas;  // with their samples
    std::size_t samples = 0;
    for (std::size_t rank = 0; rank < workers.size(); ++rank) {
      const std::vector<std::uint64_t> mine = shares.of(static_cast<std::int64_t>(rank), clock);
      samples += mine.size();
      if (!mine.empty()) deltas.emplace_back(workers[rank].delta(outer.weights(), mine), mine.size());
    }
    std::vector<float> mean = deltas.front().first;
    if (deltas.size() > 1) {
      std::ranges::fill(mean, 0.0f);
      for (const auto& [delta, count] : deltas) {
        const auto weight = static_cast<float>(static_cast<double>(count) / static_cast<double>(samples));
        for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += weight * delta[i];
      }
    }
    outer.update(mean);
  }
  return outer.history();
}

std::vector<float> arrived_weights(const Job& job, const QuadraticWorkload& workload,
                                   const std::vector<std::string>& trace) {
  const Shares shares(job, workload);
  std::map<std::int64_t, LocalWorker> workers;
  std::map<std::pair<std::int64_t, Clock>, std::size_t> used;  // versions
  Outer outer(job, workload);
  constexpr int kApplied = 1;
  for (const std::string& text : trace) {
    const auto line = nlohmann::json::parse(text);
    if (line["event"] != "use" && line["event"] != "settle") continue;
    const auto rank = line["worker"].get<std::int64_t>();
    const auto clock = line["clock"].get<Clock>();
    if (line["event"] == "use") used[{rank, clock}] = line["version"];
    if (line["event"] != "settle" || line["fate"] != kApplied) continue;
    LocalWorker& worker = workers.try_emplace(rank, job, workload).first->second;
    outer.update(worker.delta(outer.history().at(used.at({rank, clock})), shares.of(rank, clock)));
  }
  return outer.weights();
}

}  // namespace rubato::sim
