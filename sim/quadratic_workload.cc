#include "sim/quadratic_workload.h"

#include <fmt/format.h>

#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "base/better.h"
#include "base/partition.h"
#include "data/dataset.h"
#include "data/permutation.h"
#include "worker/inner_optimizer.h"
#include "worker/local_steps.h"

namespace rubato::sim {

using protocol::LeafNode;
using worker::ComputeOrder;
using worker::ComputeReport;

namespace {

class QuadraticComputer final : public Computer {
 public:
  QuadraticComputer(const QuadraticWorkload& workload, NodeId self)
      : workload_(workload),
        self_(self),
        order_(data::EpochOrder::Kind::kShuffled, workload.job().train.seed, workload.train_samples()) {}

  void set_routing(const protocol::RoutingTable& routing) override {
    routing_ = routing;
    weights_.resize(routing.slices.size());
    if (parse_mode(workload_.job().consistency.mode).value().local())
      inner_.emplace(workload_.job(), workload_.manifest(), routing);
  }

  std::vector<ComputeReport> compute(std::vector<ComputeOrder> orders) override {
    if (auto* evaluation = std::get_if<worker::EvaluateWeights>(&orders.front())) {
      weights_ = std::move(evaluation->slices);
      return {worker::Evaluated{evaluate(evaluation->order)}};
    }
    for (std::size_t i = 1; i < orders.size(); ++i) {
      auto& weights = std::get<worker::SliceWeights>(orders[i]);
      weights_[weights.slice] = std::move(weights.weights);
    }
    const protocol::StepGrant& grant = std::get<worker::ComputeStep>(orders.front()).step;
    return inner_ && grant.batch.count > 0 ? local_steps(grant) : step(grant);
  }

 private:
  using Sum = std::optional<std::vector<float>>;  // nothing: there were no samples

  std::vector<ComputeReport> step(const protocol::StepGrant& grant) {
    std::vector<ComputeReport> reports;
    worker::StepComputed computed;
    computed.clock = grant.clock;
    for (const LeafNode node : grant.nodes) {
      const std::vector<std::uint64_t> samples = samples_of(grant, node);
      for (SliceId slice = 0; slice < weights_.size(); ++slice) {
        Sum sum = sum_of(grant, node, slice);
        if (sum && spoilt(grant.clock, slice)) sum->front() = std::numeric_limits<float>::quiet_NaN();
        reports.push_back(worker::SliceGradient{grant.clock, slice, node, static_cast<std::uint32_t>(samples.size()),
                                                sum ? Payload::of_floats(*sum) : Payload()});
      }
      computed.samples += samples.size();
      for (const std::uint64_t sample : samples) computed.loss_sum += loss(sample);
    }
    reports.emplace_back(computed);
    return reports;
  }

  std::vector<ComputeReport> local_steps(const protocol::StepGrant& grant) {
    const auto batch = static_cast<std::uint64_t>(workload_.job().train.batch);
    const std::uint64_t steps = worker::local_step_count(grant.batch, batch);
    const std::vector<Payload> pulled = weights_;
    worker::StepComputed computed;
    computed.clock = grant.clock;
    for (std::uint64_t at = 0; at < steps; ++at) {
      protocol::StepGrant one = grant;
      one.batch = worker::local_step(grant.batch, batch, at);
      const std::vector<std::uint64_t> samples = samples_of(one, {});
      computed.samples += samples.size();
      for (const std::uint64_t sample : samples) computed.loss_sum += loss(sample);
      std::vector<Payload> next;
      for (SliceId slice = 0; slice < weights_.size(); ++slice) {
        const std::span<const float> current = weights_[slice].floats();
        std::vector<float> updated(current.size());
        inner_->update(state_, slice, grant.rate, *leaf_sum(one, {}, slice), samples.size(), current, updated);
        next.push_back(Payload::of_floats(updated));
      }
      weights_ = std::move(next);
    }
    std::vector<ComputeReport> reports;
    for (SliceId slice = 0; slice < weights_.size(); ++slice) {
      std::vector<float> delta(weights_[slice].floats().size());
      inner_->write_delta(state_, slice, pulled[slice].floats(), weights_[slice].floats(), delta);
      if (spoilt(grant.clock, slice)) delta.front() = std::numeric_limits<float>::quiet_NaN();
      reports.push_back(worker::SliceGradient{grant.clock, slice, LeafNode(),
                                              static_cast<std::uint32_t>(grant.batch.count), Payload::of_floats(delta),
                                              static_cast<std::uint32_t>(steps)});
    }
    reports.emplace_back(computed);
    return reports;
  }

  std::vector<std::uint64_t> samples_of(const protocol::StepGrant& grant, LeafNode node) {
    std::vector<std::uint64_t> samples;
    const std::span<const std::uint64_t> ids = order_.of(grant.batch.epoch);
    for (std::uint64_t leaf = node.first_leaf(); leaf < protocol::end_leaf(node, grant.leaves); ++leaf) {
      const Part part = leaf_of_batch({grant.batch.first, grant.batch.count}, grant.leaves, leaf);
      for (std::uint64_t at = part.first; at < part.first + part.count; ++at) samples.push_back(ids[at]);
    }
    return samples;
  }

  Sum sum_of(const protocol::StepGrant& grant, LeafNode node, SliceId slice) {
    if (node.level == 0) return leaf_sum(grant, node, slice);
    const LeafNode left{static_cast<std::uint8_t>(node.level - 1), node.index * 2}, right = left.sibling();
    Sum sum = sum_of(grant, left, slice);
    if (!protocol::exists(right, grant.leaves)) return sum;
    Sum other = sum_of(grant, right, slice);
    if (!sum || !other) return sum ? sum : other;
    for (std::size_t i = 0; i < sum->size(); ++i) (*sum)[i] += (*other)[i];
    return sum;
  }

  Sum leaf_sum(const protocol::StepGrant& grant, LeafNode leaf, SliceId slice) {
    const std::vector<std::uint64_t> samples = samples_of(grant, leaf);
    if (samples.empty()) return std::nullopt;
    std::vector<float> gradient;
    std::span<const float> w = weights_[slice].floats();
    for (const protocol::Piece& piece : routing_.slices[slice].pieces) {
      const std::size_t first = workload_.first_element(piece.parameter) + piece.first;
      for (std::size_t i = 0; i < piece.count; ++i) {
        double sum = 0.0;
        for (const std::uint64_t sample : samples)
          sum += static_cast<double>(w[i]) - static_cast<double>(workload_.target(sample)[first + i]);
        gradient.push_back(static_cast<float>(sum));
      }
      w = w.subspan(piece.count);
    }
    return gradient;
  }

  double loss(std::uint64_t sample) const { return loss_at(workload_.target(sample)); }

  double loss_at(std::span<const float> target) const {
    double twice = 0.0;
    for (std::size_t slice = 0; slice < weights_.size(); ++slice) {
      std::span<const float> w = weights_[slice].floats();
      for (const protocol::Piece& piece : routing_.slices[slice].pieces) {
        const std::size_t first = workload_.first_element(piece.parameter) + piece.first;
        for (std::size_t i = 0; i < piece.count; ++i) {
          const double distance = static_cast<double>(w[i]) - static_cast<double>(target[first + i]);
          twice += distance * distance;
        }
        w = w.subspan(piece.count);
      }
    }
    return twice / 2.0;
  }

  protocol::EvaluationDone evaluate(const protocol::Evaluate& order) {
    protocol::EvaluationDone done;
    done.snapshot = order.snapshot;
    if (workload_.held_out_samples() == 0) {
      done.figures = on_training_samples();
      return done;
    }
    done.figures.evaluated = true;
    for (std::uint64_t sample = 0; sample < workload_.held_out_samples(); ++sample)
      done.figures.loss += loss_at(workload_.held_out(sample));
    done.figures.loss /= static_cast<double>(workload_.held_out_samples());
    done.best = is_better(workload_.job().evaluation, done.figures.loss, order.to_beat);
    if (done.best) best_ = weights_;
    if (!order.final) return done;
    if (!best_.empty()) weights_ = best_;
    done.test = on_training_samples();
    return done;
  }

  // There are no others for a test.
  [[nodiscard]] protocol::EvaluationFigures on_training_samples() const {
    protocol::EvaluationFigures figures;
    figures.evaluated = true;
    for (std::uint64_t sample = 0; sample < workload_.train_samples(); ++sample) figures.loss += loss(sample);
    figures.loss /= static_cast<double>(workload_.train_samples());
    return figures;
  }

  [[nodiscard]] bool spoilt(Clock clock, SliceId slice) const {
    return self_ == worker_node(0) && clock == workload_.job().debug.nonfinite_at && slice == 0;
  }

  const QuadraticWorkload& workload_;
  const NodeId self_;
  data::EpochOrder order_;
  protocol::RoutingTable routing_;
  std::vector<Payload> weights_, best_;          // of an evaluator: the best so far
  std::optional<worker::InnerOptimizer> inner_;  // in local:H
  worker::InnerState state_;
};

std::vector<float> targets_of(const data::Dataset& points) {
  std::vector<std::uint64_t> ids(points.size());
  std::iota(ids.begin(), ids.end(), std::uint64_t{0});
  data::BatchBuffer batch;
  const Status gathered = points.gather(0, ids, batch);
  RUBATO_CHECK(gathered.ok(), "points are computed, not read");
  return std::move(batch.targets);
}

}  // namespace

QuadraticWorkload::QuadraticWorkload(const Job& job, std::uint32_t parameters)
    : job_(job), size_(static_cast<std::size_t>(job.model.size)) {
  for (std::uint32_t index = 0; index < parameters; ++index) {
    const Part part = share(size_, parameters, index);
    first_element_.push_back(part.first);
    manifest_.push_back({.name = parameters == 1 ? "w" : fmt::format("w{}", index),
                         .shape = {static_cast<std::int64_t>(part.count)},
                         .initializer = {InitializerKind::kUniform, 1.0f}});
  }
  const data::TrainingParts parts = data::open_training_parts(job).value();
  samples_ = parts.train->size();
  fingerprint_ = parts.train->fingerprint();
  targets_ = targets_of(*parts.train);
  if (parts.held_out) held_out_ = targets_of(*parts.held_out);
}

std::unique_ptr<Computer> QuadraticWorkload::make_computer(NodeId member) {
  return std::make_unique<QuadraticComputer>(*this, member);
}

}  // namespace rubato::sim
