// How a step plan's steps are run: call by call, or, from the second step of a shape on, as a recording of those calls
// where the device makes one. Weights and inputs come in their own time, before it; recorded is what is between them
// and the last gradient's copy, whose addresses are the same ones again.
#include <fmt/format.h>

#include <algorithm>

#include "model/step_plan.h"

namespace rubato::model {
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

// Nothing is under way when a step ends: spans of the host's are their owners' again.
Result<kernels::LossResult> StepPlan::after(Result<kernels::LossResult> done) {
  if (!done.ok()) {
    device_.abandon();
    ahead_.clear();
  }
  return done;
}

Result<kernels::LossResult> StepPlan::train(const Batch& batch, WeightSource& source, GradientSink& sink,
                                            std::span<std::int32_t> predictions) {
  return after(run_training(batch, source, sink, predictions));
}

Result<kernels::LossResult> StepPlan::evaluate(const Batch& batch, WeightSource& source,
                                               std::span<std::int32_t> predictions) {
  const auto enqueue = [&]() -> Status {
    RUBATO_TRY(begin(batch));
    return enqueue_forward(batch, &source, predictions);
  };
  const Status enqueued = enqueue();
  return after(enqueued.ok() ? forward_result() : Result<kernels::LossResult>(enqueued.error()));
}

Status StepPlan::begin(const Batch& batch) {
  RUBATO_TRY(device_.begin_step());
  return bring_inputs(batch);
}

// Without a source weights are there already.
Status StepPlan::enqueue_forward(const Batch& batch, WeightSource* source, std::span<std::int32_t> predictions) {
  const kernels::SampleKeys keys{batch.epoch, batch.sample_ids, batch.lengths};
  for (const Stage& stage : stages_) {
    if (source != nullptr) RUBATO_TRY(load(stage, *source));
    const timeline::Scope drawn(lane_, "forward", stage.name);
    RUBATO_TRY(stage.op->forward(keys));
  }
  const timeline::Scope drawn(lane_, "loss");
  return loss_->enqueue({batch.labels, batch.targets}, predictions);
}

Status StepPlan::bring_inputs(const Batch& batch) {
  const bool here = !ahead_.empty() && ahead_epoch_ == batch.epoch && std::ranges::equal(ahead_, batch.sample_ids);
  ahead_.clear();
  return here ? prefetch_->take(inputs_) : device_.bring(inputs_, batch.inputs);
}

// Once a step, as soon as what comes next is there.
Status StepPlan::bring_ahead(const Batch& batch) {
  if (prefetch_ == nullptr || batch.next == nullptr || !ahead_.empty()) return {};
  const Batch* const next = batch.next->peek();
  if (next == nullptr || next->sample_ids.empty() || next->inputs.size() != batch.inputs.size()) return {};
  const timeline::Scope drawn(lane_, "bring ahead");
  RUBATO_TRY(prefetch_->start(next->inputs));
  ahead_.assign(next->sample_ids.begin(), next->sample_ids.end());
  ahead_epoch_ = next->epoch;
  return {};
}

Result<kernels::LossResult> StepPlan::forward_result() {
  const timeline::Scope drawn(device_.records() ? lane_ : nullptr, "await", "loss");  // the CPU has it at once
  RUBATO_ASSIGN(const kernels::LossResult loss, loss_->result());
  for (const Stage& stage : stages_) RUBATO_TRY(stage.op->findings());
  return loss;
}

void StepPlan::take_buffers(const Stage& stage, GradientSink& sink) {
  gradients_.resize(parameters_.size());
  for (std::size_t i = stage.parameters; i-- > 0;)
    gradients_[stage.first_parameter + i] = sink.gradient_buffer(stage.first_parameter + i);
}

Status StepPlan::backward_weights(const Stage& stage) {
  const timeline::Scope drawn(lane_, "gradient", stage.name);
  RUBATO_TRY(stage.op->backward_weights(std::span(gradients_).subspan(stage.first_parameter, stage.parameters)));
  RUBATO_ASSIGN(const kernels::CopyMark mark, device_.mark_copies());
  sent_.push_back({static_cast<std::size_t>(&stage - stages_.data()), mark});
  return {};
}

// Those that are there; or all, as they come. None before it is known that the inputs were right.
Status StepPlan::hand_over(const Batch& batch, std::optional<kernels::LossResult>& loss, GradientSink& sink,
                           bool wait) {
  for (; handed_over_ < sent_.size(); ++handed_over_) {
    const Stage& stage = stages_[sent_[handed_over_].stage];
    const kernels::CopyMark mark = sent_[handed_over_].mark;
    if (wait) RUBATO_TRY(bring_ahead(batch));  // all of the step is enqueued: while it is computed
    if (!wait) {
      RUBATO_ASSIGN(const bool there, device_.has_passed(mark));
      if (!there) return {};
    }
    if (!loss) {
      RUBATO_ASSIGN(loss, forward_result());
    }
    if (wait) {
      const timeline::Scope drawn(lane_, "await", stage.name);
      RUBATO_TRY(device_.wait_for(mark));
    }
    const timeline::Scope drawn(lane_, "hand over", stage.name);
    for (std::size_t i = stage.parameters; i-- > 0;) sink.ready(stage.first_parameter + i);
  }
  return {};
}

Status StepPlan::gather_gradient(const Stage& stage) {
  const auto elements = static_cast<std::size_t>(stage.op->info().output.elements());
  for (const float* other : stage.more) RUBATO_TRY(device_.add(stage.gradient, other, elements));
  return {};
}

// Undoes what is behind the weights, and computes their gradient.
Status StepPlan::enqueue_backward(const Stage& stage) {
  {
    const timeline::Scope drawn(lane_, "undo", stage.name);
    RUBATO_TRY(gather_gradient(stage));
    RUBATO_TRY(stage.op->begin_backward());
  }
  return stage.trained ? backward_weights(stage) : Status{};
}

Status StepPlan::enqueue_backward_data(const Stage& stage) {
  if (!stage.input_gradient) return {};
  const timeline::Scope drawn(lane_, "backward", stage.name);
  return stage.op->backward_data();
}

Result<kernels::LossResult> StepPlan::run_training(const Batch& batch, WeightSource& source, GradientSink& sink,
                                                   std::span<std::int32_t> predictions) {
  sent_.clear();
  handed_over_ = 0;
  std::optional<kernels::LossResult> loss;
  RUBATO_TRY(begin(batch));
  if (may_record()) {
    RUBATO_TRY(run_recorded(batch, source, sink, predictions));
  } else {
    RUBATO_TRY(enqueue_forward(batch, &source, predictions));
    for (std::size_t i = stages_.size(); i-- > 0;) {
      const Stage& stage = stages_[i];
      if (!stage.learns) continue;
      if (stage.trained) take_buffers(stage, sink);
      RUBATO_TRY(enqueue_backward(stage));
      RUBATO_TRY(hand_over(batch, loss, sink, false));
      RUBATO_TRY(enqueue_backward_data(stage));
    }
  }
  RUBATO_TRY(hand_over(batch, loss, sink, true));
  if (loss) return *loss;
  return forward_result();
}

// What cannot be recorded at all is known once a step has run.
bool StepPlan::may_record() {
  if (device_.records() && recordings_.none_began())
    for (const Stage& stage : stages_)
      if (const std::string_view why = stage.op->unrecordable(); !why.empty())
        recordings_.give_up(fmt::format("{}: {}", stage.name, why));
  return recordings_.may_begin();
}

Status StepPlan::run_recorded(const Batch& batch, WeightSource& source, GradientSink& sink,
                              std::span<std::int32_t> predictions) {
  for (const Stage& stage : stages_) RUBATO_TRY(load(stage, source));
  for (std::size_t i = stages_.size(); i-- > 0;)
    if (stages_[i].trained) take_buffers(stages_[i], sink);
  const bool lengths = !batch.lengths.empty();
  const RecordedStep* recorded = recordings_.find(gradients_, lengths);
  if (recorded != nullptr) {
    const kernels::SampleKeys keys{batch.epoch, batch.sample_ids, batch.lengths};
    for (const Stage& stage : stages_) stage.op->prepare(keys);
    loss_->prepare({batch.labels, batch.targets}, predictions);
  } else {
    recorded = recordings_.record(
        gradients_, lengths, [&] { return enqueue_training(batch, predictions); }, sent_);
  }
  if (recorded == nullptr) {
    sent_.clear();
    return enqueue_training(batch, predictions);
  }
  sent_ = recorded->sent;
  return recorded->calls->replay();
}

// Weights are there, and where gradients go is known.
Status StepPlan::enqueue_training(const Batch& batch, std::span<std::int32_t> predictions) {
  RUBATO_TRY(enqueue_forward(batch, nullptr, predictions));
  for (std::size_t i = stages_.size(); i-- > 0;) {
    if (!stages_[i].learns) continue;
    RUBATO_TRY(enqueue_backward(stages_[i]));
    RUBATO_TRY(enqueue_backward_data(stages_[i]));
  }
  return {};
}

}  // namespace rubato::model
