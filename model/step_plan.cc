#include "model/step_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace rubato::model {
namespace {

// Hands out pieces of a buffer that does not exist yet: offsets first, addresses when it does.
class Layout {
 public:
  std::size_t add(std::size_t bytes) {
    const std::size_t offset = bytes_;
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kAlignment = 128;  // two cache lines: neighbours are fetched in pairs
  std::size_t bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<StepPlan>> StepPlan::make(kernels::Device& device, std::span<const Layer> layers,
                                                 std::span<const ParameterSpec> parameters,
                                                 kernels::LossDesc::Kind loss, std::int64_t samples, Purpose purpose) {
  std::unique_ptr<StepPlan> plan(new StepPlan(device, parameters, samples));
  const bool training = purpose == Purpose::kTraining;
  RUBATO_TRY(plan->plan_stages(layers, training));
  const std::int64_t outputs = plan->stages_.back().op->info().output.elements_per_sample();
  RUBATO_ASSIGN(plan->loss_, device.plan_loss({loss, samples, outputs}));
  RUBATO_TRY(plan->lay_out(training));
  return plan;
}

Status StepPlan::plan_stages(std::span<const Layer> layers, bool training) {
  RUBATO_CHECK(!layers.empty(), "a network without layers");
  std::size_t first_parameter = 0;
  for (const Layer& layer : layers) {
    Stage stage;
    stage.name = layer.name;
    stage.first_parameter = first_parameter;
    stage.parameters = kernels::parameter_shapes(layer.op).size();
    stage.input_gradient = training && first_parameter > 0;  // somebody below it learns
    auto op = device_.plan(kernels::with_samples(layer.op, samples_), {training, stage.input_gradient});
    if (!op.ok()) return op.error().in(layer.name);
    stage.op = std::move(op).value();
    first_parameter += stage.parameters;
    stages_.push_back(std::move(stage));
  }
  RUBATO_CHECK(first_parameter == parameters_.size(), "layers have {} parameters, {} were named", first_parameter,
               parameters_.size());
  return {};
}

Status StepPlan::lay_out(bool training) {
  Layout layout;
  std::size_t largest = 0, scratch_bytes = 0;
  for (const Stage& stage : stages_) {
    const kernels::OpInfo& info = stage.op->info();
    largest = std::max({largest, info.input.bytes(), info.output.bytes()});
    scratch_bytes = std::max(scratch_bytes, info.scratch_bytes);
  }
  const std::size_t scratch = layout.add(scratch_bytes);
  const std::size_t turns[2] = {layout.add(largest), layout.add(largest)};
  std::vector<std::size_t> activations(stages_.size() + 1), saved(stages_.size());
  for (std::size_t i = 0; i < activations.size(); ++i) {
    const bool last = i == stages_.size();
    const std::size_t bytes = last ? stages_.back().op->info().output.bytes() : stages_[i].op->info().input.bytes();
    activations[i] = training ? layout.add(bytes) : turns[i % 2];
    if (!last) saved[i] = layout.add(stages_[i].op->info().saved_bytes);
  }
  RUBATO_ASSIGN(memory_, device_.allocate(layout.bytes()));

  const auto at = [this](std::size_t offset) { return reinterpret_cast<float*>(memory_.data() + offset); };
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    stages_[i].op->bind({.input = at(activations[i]),
                         .output = at(activations[i + 1]),
                         .output_gradient = training ? at(turns[(i + 1) % 2]) : nullptr,
                         .input_gradient = stages_[i].input_gradient ? at(turns[i % 2]) : nullptr,
                         .saved = at(saved[i]),
                         .scratch = at(scratch)});
  }
  inputs_ = at(activations.front());
  scores_ = at(activations.back());
  loss_->bind(scores_, training ? at(turns[stages_.size() % 2]) : nullptr);
  return {};
}

ModelMemory StepPlan::memory() const {
  ModelMemory memory{.activations = memory_.bytes()};
  for (const Stage& stage : stages_) memory.reordered += stage.op->info().private_bytes;
  return memory;
}

Status StepPlan::load(const Stage& stage, WeightSource& source) {
  if (stage.parameters == 0) return {};
  const timeline::Scope drawn(lane_, "load", stage.name);
  for (std::size_t i = 0; i < stage.parameters; ++i) {
    const std::size_t parameter = stage.first_parameter + i;
    const std::span<const float> values = source.weights(parameter);
    if (values.empty()) {
      return Error{Cause::kInterrupted, fmt::format("the weights of {} did not come", parameters_[parameter].name)};
    }
    RUBATO_TRY(stage.op->load(i, values, source.version(parameter)));
  }
  return {};
}

Result<kernels::LossResult> StepPlan::forward(const Batch& batch, WeightSource& source,
                                              std::span<std::int32_t> predictions) {
  RUBATO_TRY(device_.copy_in(inputs_, batch.inputs));
  const kernels::SampleKeys keys{batch.epoch, batch.sample_ids};
  for (const Stage& stage : stages_) {
    RUBATO_TRY(load(stage, source));
    const timeline::Scope drawn(lane_, "forward", stage.name);
    RUBATO_TRY(stage.op->forward(keys));
  }
  const timeline::Scope drawn(lane_, "loss");
  return loss_->run({batch.labels, batch.targets}, predictions);
}

Status StepPlan::backward_weights(const Stage& stage, GradientSink& sink) {
  if (stage.parameters == 0) return {};
  gradients_.resize(stage.parameters);
  for (std::size_t i = stage.parameters; i-- > 0;) gradients_[i] = sink.gradient_buffer(stage.first_parameter + i);
  {
    const timeline::Scope drawn(lane_, "gradient", stage.name);
    RUBATO_TRY(stage.op->backward_weights(gradients_));
  }
  const timeline::Scope drawn(lane_, "hand over", stage.name);
  for (std::size_t i = stage.parameters; i-- > 0;) sink.ready(stage.first_parameter + i);
  return {};
}

Status StepPlan::backward(GradientSink& sink) {
  for (std::size_t i = stages_.size(); i-- > 0;) {
    const Stage& stage = stages_[i];
    // Below the lowest layer that learns there is nothing left to do.
    if (stage.parameters == 0 && !stage.input_gradient) break;
    RUBATO_TRY(stage.op->begin_backward());
    RUBATO_TRY(backward_weights(stage, sink));
    if (!stage.input_gradient) continue;
    const timeline::Scope drawn(lane_, "backward", stage.name);
    RUBATO_TRY(stage.op->backward_data());
  }
  return {};
}

}  // namespace rubato::model
