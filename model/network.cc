#include "model/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "base/check.h"
#include "model/check_inputs.h"
#include "model/check_lengths.h"

namespace rubato::model {

using Purpose = StepPlan::Purpose;

Network::Network(kernels::Device& device, std::vector<Layer> layers, std::vector<ParameterSpec> parameters,
                 kernels::LossDesc loss, std::int64_t samples_max)
    : device_(device),
      layers_(std::move(layers)),
      parameters_(std::move(parameters)),
      loss_(std::move(loss)),
      samples_max_(samples_max) {
  RUBATO_CHECK(!layers_.empty() && samples_max_ > 0);
  evaluation_layers_ = without_dropout(layers_);
  has_dropout_ = evaluation_layers_.size() < layers_.size();
  input_ = kernels::input_shape(layers_.front().op);
  takes_lengths_ = model::check_lengths(layers_, loss_.kind);
  const kernels::TensorShape output = kernels::output_shape(layers_.back().op);
  outputs_ = output.elements_per_sample();
  loss_.positions = loss_.kind == kernels::LossDesc::Kind::kCrossEntropy ? output.height * output.width : 1;
  loss_.outputs = outputs_ / loss_.positions;
}

Status Network::check(const Batch& batch, bool training) const {
  RUBATO_TRY(check_inputs(batch, samples_max_, input_.elements_per_sample()));
  const auto samples = static_cast<std::int64_t>(batch.samples());
  const bool ids_needed = training && has_dropout_;
  if ((ids_needed || !batch.sample_ids.empty()) && static_cast<std::int64_t>(batch.sample_ids.size()) != samples) {
    return Error{Cause::kData, fmt::format("{} sample ids for {} samples", batch.sample_ids.size(), samples)};
  }
  RUBATO_TRY(check_lengths(batch));
  return check_targets(batch);
}

Status Network::check_lengths(const Batch& batch) const {
  if (batch.lengths.empty()) return {};
  RUBATO_TRY(takes_lengths_);
  if (batch.lengths.size() != batch.samples())
    return Error{Cause::kData, fmt::format("{} lengths for {} samples", batch.lengths.size(), batch.samples())};
  for (std::size_t i = 0; i < batch.lengths.size(); ++i)
    if (batch.lengths[i] < 1 || batch.lengths[i] > input_.height)
      return Error{Cause::kData, fmt::format("sample {} of the batch is {} positions long; expected 1 to {}", i,
                                             batch.lengths[i], input_.height)};
  return {};
}

Status Network::check_targets(const Batch& batch) const {
  const auto samples = static_cast<std::int64_t>(batch.samples());
  if (batch.targets.empty() || loss_.kind == kernels::LossDesc::Kind::kCrossEntropy) {
    if (batch.labels.empty()) return Error{Cause::kData, "this loss needs labels, and the batch has none"};
  } else if (static_cast<std::int64_t>(batch.targets.size()) != samples * outputs_) {
    return Error{Cause::kData, fmt::format("{} targets for {} samples of {}", batch.targets.size(), samples, outputs_)};
  }
  const auto labels = static_cast<std::int64_t>(batch.labels.size());
  if (labels != 0 && labels != samples * loss_.positions) {
    return Error{Cause::kData, fmt::format("{} labels for {} samples with {} each", labels, samples, loss_.positions)};
  }
  return check_labels(batch.labels);
}

Status Network::check_labels(std::span<const std::int32_t> labels) const {
  const auto classes = static_cast<std::int32_t>(loss_.outputs == 1 ? 2 : loss_.outputs);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= kNoLabel && labels[i] < classes) continue;
    return Error{Cause::kData, fmt::format("label {} of sample {} of the batch; the model has {} classes, counted "
                                           "from 0",
                                           labels[i], i / static_cast<std::size_t>(loss_.positions), classes)};
  }
  return {};
}

std::span<std::int32_t> Network::predictions_of(const Batch& batch) {
  return {predictions_.data(), batch.samples() * static_cast<std::size_t>(loss_.positions)};
}

Batch Network::with_labels_that_are_there(const Batch& batch) {
  if (batch.lengths.empty() || loss_.positions == 1 || batch.labels.empty()) return batch;
  RUBATO_CHECK(loss_.positions == input_.height * input_.width, "labels of {} positions, and lengths of {} x {}",
               loss_.positions, input_.height, input_.width);  // as check_lengths has seen
  labels_.assign(batch.labels.begin(), batch.labels.end());
  const auto positions = static_cast<std::size_t>(loss_.positions);
  for (std::size_t i = 0; i < batch.lengths.size(); ++i)
    std::fill(labels_.begin() + static_cast<std::ptrdiff_t>(i * positions) + batch.lengths[i] * input_.width,
              labels_.begin() + static_cast<std::ptrdiff_t>((i + 1) * positions), kNoLabel);
  Batch marked = batch;
  marked.labels = labels_;
  return marked;
}

Result<StepPlan*> Network::plan_for(std::int64_t samples, Purpose purpose) {
  const bool training = purpose == Purpose::kTraining;
  const std::span<const Layer> layers = training ? layers_ : evaluation_layers_;
  PlanCache& cache = training ? training_plans_ : evaluation_plans_;
  make_room(samples, purpose);
  const std::size_t before = memory_.bytes();
  RUBATO_ASSIGN(StepPlan * plan, cache.find(samples, [&] {
    return StepPlan::make(device_, layers, parameters_, loss_, samples, purpose, memory_);
  }));
  // It needs more: those that lie where the others did would keep that, too.
  if (memory_.bytes() > before) {
    training_plans_.keep_only(plan);
    evaluation_plans_.keep_only(plan);
  }
  return plan;
}

// Only as large as it is wanted: a job may allow larger batches than it has samples, and who trains shows no scores.
void Network::make_room(std::int64_t samples, Purpose purpose) {
  const auto enough = [&](auto& all, std::int64_t of_sample) {
    all.resize(std::max(all.size(), static_cast<std::size_t>(samples * of_sample)));
  };
  enough(predictions_, loss_.positions);
  if (purpose == Purpose::kEvaluation) enough(scores_, outputs_);
}

std::size_t Network::result_bytes(std::int64_t samples, Purpose purpose) const {
  const auto of_sample = static_cast<std::size_t>(loss_.positions) * sizeof(std::int32_t) +
                         (purpose == Purpose::kEvaluation ? static_cast<std::size_t>(outputs_) * sizeof(float) : 0);
  return static_cast<std::size_t>(samples) * of_sample;
}

Result<ModelMemory> Network::memory_for(std::int64_t samples, bool training) {
  device_.enter();
  const Purpose purpose = training ? Purpose::kTraining : Purpose::kEvaluation;
  RUBATO_ASSIGN(const StepPlan* plan, plan_for(samples, purpose));
  ModelMemory memory = plan->memory();
  memory.results = result_bytes(samples, purpose);
  return memory;
}

Result<LeafStats> Network::train_leaf(const Batch& batch, WeightSource& source, GradientSink& sink) {
  RUBATO_TRY(check(batch, true));
  device_.enter();
  RUBATO_ASSIGN(StepPlan * plan, plan_for(static_cast<std::int64_t>(batch.samples()), Purpose::kTraining));
  plan->draw(lane_);
  RUBATO_ASSIGN(const kernels::LossResult loss,
                plan->train(with_labels_that_are_there(batch), source, sink, predictions_of(batch)));
  return LeafStats{loss.loss_sum, plan->samples(), loss.correct};
}

Result<Evaluation> Network::evaluate(const Batch& batch, WeightSource& source) {
  RUBATO_TRY(check(batch, false));
  device_.enter();
  RUBATO_ASSIGN(StepPlan * plan, plan_for(static_cast<std::int64_t>(batch.samples()), Purpose::kEvaluation));
  const std::span<std::int32_t> predictions = predictions_of(batch);
  RUBATO_ASSIGN(const kernels::LossResult loss, plan->evaluate(with_labels_that_are_there(batch), source, predictions));
  const std::span<float> scores(scores_.data(), batch.samples() * static_cast<std::size_t>(outputs_));
  RUBATO_TRY(device_.copy_out(scores, plan->scores()));
  return Evaluation{loss.loss_sum, plan->samples(), loss.correct, scores, predictions};
}

}  // namespace rubato::model
