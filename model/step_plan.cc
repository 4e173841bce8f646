#include "model/step_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "model/layouts.h"
#include "model/memory_plan.h"

namespace rubato::model {
Result<std::unique_ptr<StepPlan>> StepPlan::make(kernels::Device& device, std::span<const Layer> layers,
                                                 std::span<const ParameterSpec> parameters, kernels::LossDesc loss,
                                                 std::int64_t samples, Purpose purpose, StepMemory& memory) {
  std::unique_ptr<StepPlan> plan(new StepPlan(device, parameters, samples));
  const bool training = purpose == Purpose::kTraining;
  RUBATO_TRY(plan->plan_stages(layers, training));
  loss.samples = samples;
  if (!training) {
    loss.smoothing = 0.0;
    loss.class_weights.clear();
  }
  RUBATO_ASSIGN(plan->loss_, device.plan_loss(loss));
  RUBATO_TRY(plan->lay_out(training, memory));
  return plan;
}

Status StepPlan::plan_stages(std::span<const Layer> layers, bool training) {
  RUBATO_CHECK(!layers.empty(), "a network without layers");
  std::vector<bool> learns{false};  // by tensor
  const std::vector<kernels::Layout> layouts = choose_layouts(device_, layers);
  std::size_t first_parameter = 0;
  for (const Layer& layer : layers) {
    Stage stage;
    stage.name = layer.name;
    stage.input = layer.input, stage.addend = layer.addend;
    stage.adds = kernels::has_addend(layer.op);
    RUBATO_CHECK(layer.input < learns.size() && layer.addend < learns.size(), "layer {} reads what comes after it",
                 layer.name);
    stage.first_parameter = first_parameter;
    stage.parameters = kernels::parameter_shapes(layer.op).size();
    stage.input_gradient = training && learns[layer.input];
    stage.addend_gradient = training && stage.adds && learns[layer.addend];
    stage.trained = training && std::ranges::any_of(parameters_.subspan(first_parameter, stage.parameters),
                                                    [](const ParameterSpec& spec) { return !spec.frozen; });
    stage.learns = training && (stage.trained || stage.input_gradient || stage.addend_gradient);
    auto op = device_.plan(kernels::with_samples(layer.op, samples_), {.training = training,
                                                                       .input_gradient = stage.input_gradient,
                                                                       .input = layouts[layer.input],
                                                                       .output = layouts[stages_.size() + 1]});
    if (!op.ok()) return op.error().in(layer.name);
    stage.op = std::move(op).value();
    first_parameter += stage.parameters;
    learns.push_back(stage.learns);
    stages_.push_back(std::move(stage));
  }
  RUBATO_CHECK(first_parameter == parameters_.size(), "layers have {} parameters, {} were named", first_parameter,
               parameters_.size());
  return {};
}

// What has to lie somewhere, and when. Stage i runs at moment i, the loss after all of them, and stage i backward at
// moment 2 n - i, of n stages.
struct StepPlan::Tenants {
  explicit Tenants(std::size_t count) : stages(count), input_gradients(count), gradients(count) {}

  std::size_t add(std::size_t bytes, std::size_t first, std::size_t last) {
    all.push_back({bytes, first, last});
    return all.size() - 1;
  }
  [[nodiscard]] std::size_t backward(std::size_t stage) const { return 2 * stages - stage; }

  const std::size_t stages;
  std::vector<Tenant> all;
  std::vector<std::size_t> input_gradients;         // by stage: where it writes the gradient of its input
  std::vector<std::vector<std::size_t>> gradients;  // by stage: of its output, one from each reader
};

// Readers in the order in which they go backward. Whoever adds a tensor to its result has its gradient already.
void StepPlan::plan_gradients(Tenants& tenants) {
  const std::size_t n = stages_.size();
  tenants.gradients.back().push_back(tenants.add(stages_.back().op->info().output.bytes(), n, tenants.backward(n - 1)));
  for (std::size_t i = n; i-- > 0;) {
    const Stage& stage = stages_[i];
    if (stage.addend_gradient) {
      const std::size_t shared = tenants.gradients[i].front();
      Tenant& tenant = tenants.all[shared];
      tenant.last = std::max(tenant.last, tenants.backward(stage.addend - 1));
      tenants.gradients[stage.addend - 1].push_back(shared);
    }
    if (stage.input_gradient) {
      tenants.input_gradients[i] =
          tenants.add(stage.op->info().input.bytes(), tenants.backward(i), tenants.backward(stage.input - 1));
      tenants.gradients[stage.input - 1].push_back(tenants.input_gradients[i]);
    }
  }
}

Status StepPlan::lay_out(bool training, StepMemory& memory) {
  const std::size_t n = stages_.size();
  Tenants tenants(n);
  const std::size_t end = training ? tenants.backward(0) : n;
  std::vector<std::size_t> last_reader(n + 1, 0);  // by tensor
  last_reader[n] = n;                              // the loss
  std::size_t scratch_bytes = 0;
  for (std::size_t i = 0; i < n; ++i) {
    last_reader[stages_[i].input] = i;
    if (stages_[i].adds) last_reader[stages_[i].addend] = i;
    scratch_bytes = std::max(scratch_bytes, stages_[i].op->info().scratch_bytes);
  }
  const std::size_t scratch = tenants.add(scratch_bytes, 0, end);
  std::vector<std::size_t> activations{
      tenants.add(stages_.front().op->info().input.bytes(), 0, training ? end : last_reader[0])};
  std::vector<std::size_t> saved;
  for (std::size_t i = 0; i < n; ++i) {
    const kernels::OpInfo& info = stages_[i].op->info();
    activations.push_back(tenants.add(info.output.bytes(), i, training ? tenants.backward(i) : last_reader[i + 1]));
    saved.push_back(tenants.add(info.saved_bytes, i, training ? tenants.backward(i) : i));
  }
  if (training) plan_gradients(tenants);
  const MemoryPlan plan = plan_memory(tenants.all);
  RUBATO_ASSIGN(memory_, memory.room_for(plan.bytes));
  memory_bytes_ = plan.bytes;

  const auto at = [&](std::size_t tenant) { return reinterpret_cast<float*>(memory_->data() + plan.offsets[tenant]); };
  for (std::size_t i = 0; i < n; ++i) {
    Stage& stage = stages_[i];
    const float* second = nullptr;
    for (const std::size_t tenant : tenants.gradients[i]) {
      if (stage.gradient == nullptr)
        stage.gradient = at(tenant);
      else if (second == nullptr && stage.op->info().adds_gradients)
        second = at(tenant);
      else
        stage.more.push_back(at(tenant));
    }
    RUBATO_CHECK(!stage.learns || stage.gradient != nullptr, "nobody reads what layer {} makes", stage.name);
    stage.op->bind({.input = at(activations[stage.input]),
                    .output = at(activations[i + 1]),
                    .output_gradient = stage.gradient,
                    .input_gradient = stage.input_gradient ? at(tenants.input_gradients[i]) : nullptr,
                    .saved = at(saved[i]),
                    .scratch = at(scratch),
                    .addend = stage.adds ? at(activations[stage.addend]) : nullptr,
                    .second_gradient = second});
  }
  inputs_ = at(activations.front());
  scores_ = at(activations.back());
  if (training) {
    RUBATO_ASSIGN(prefetch_,
                  device_.plan_prefetch(static_cast<std::size_t>(stages_.front().op->info().input.elements())));
  }
  loss_->bind(scores_, stages_.back().gradient);
  return {};
}

ModelMemory StepPlan::memory() const {
  ModelMemory memory{.activations = memory_bytes_};
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
  const Status enqueued = enqueue_forward(batch, source, predictions);
  return after(enqueued.ok() ? forward_result() : Result<kernels::LossResult>(enqueued.error()));
}

Status StepPlan::enqueue_forward(const Batch& batch, WeightSource& source, std::span<std::int32_t> predictions) {
  RUBATO_TRY(device_.begin_step());
  RUBATO_TRY(bring_inputs(batch));
  const kernels::SampleKeys keys{batch.epoch, batch.sample_ids, batch.lengths};
  for (const Stage& stage : stages_) {
    RUBATO_TRY(load(stage, source));
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
  const timeline::Scope drawn(lane_, "await", "loss");
  RUBATO_ASSIGN(const kernels::LossResult loss, loss_->result());
  for (const Stage& stage : stages_) RUBATO_TRY(stage.op->findings());
  return loss;
}

Status StepPlan::backward_weights(const Stage& stage, GradientSink& sink) {
  if (!stage.trained) return {};
  gradients_.resize(stage.parameters);
  for (std::size_t i = stage.parameters; i-- > 0;) gradients_[i] = sink.gradient_buffer(stage.first_parameter + i);
  const timeline::Scope drawn(lane_, "gradient", stage.name);
  RUBATO_TRY(stage.op->backward_weights(gradients_));
  RUBATO_ASSIGN(const kernels::CopyMark mark, device_.mark_copies());
  sent_.push_back({&stage, mark});
  return {};
}

// Those that are there; or all, as they come. None before it is known that the inputs were right.
Status StepPlan::hand_over(const Batch& batch, std::optional<kernels::LossResult>& loss, GradientSink& sink,
                           bool wait) {
  for (; handed_over_ < sent_.size(); ++handed_over_) {
    const auto [stage, mark] = sent_[handed_over_];
    if (wait) RUBATO_TRY(bring_ahead(batch));  // all of the step is enqueued: while it is computed
    if (!wait) {
      RUBATO_ASSIGN(const bool there, device_.has_passed(mark));
      if (!there) return {};
    }
    if (!loss) {
      RUBATO_ASSIGN(loss, forward_result());
    }
    if (wait) {
      const timeline::Scope drawn(lane_, "await", stage->name);
      RUBATO_TRY(device_.wait_for(mark));
    }
    const timeline::Scope drawn(lane_, "hand over", stage->name);
    for (std::size_t i = stage->parameters; i-- > 0;) sink.ready(stage->first_parameter + i);
  }
  return {};
}

Status StepPlan::gather_gradient(const Stage& stage) {
  const auto elements = static_cast<std::size_t>(stage.op->info().output.elements());
  for (const float* other : stage.more) RUBATO_TRY(device_.add(stage.gradient, other, elements));
  return {};
}

Status StepPlan::enqueue_backward(const Stage& stage, GradientSink& sink) {
  {
    const timeline::Scope drawn(lane_, "undo", stage.name);
    RUBATO_TRY(gather_gradient(stage));
    RUBATO_TRY(stage.op->begin_backward());
  }
  return backward_weights(stage, sink);
}

Result<kernels::LossResult> StepPlan::run_training(const Batch& batch, WeightSource& source, GradientSink& sink,
                                                   std::span<std::int32_t> predictions) {
  sent_.clear();
  handed_over_ = 0;
  std::optional<kernels::LossResult> loss;
  RUBATO_TRY(enqueue_forward(batch, source, predictions));
  for (std::size_t i = stages_.size(); i-- > 0;) {
    const Stage& stage = stages_[i];
    if (!stage.learns) continue;
    RUBATO_TRY(enqueue_backward(stage, sink));
    RUBATO_TRY(hand_over(batch, loss, sink, false));
    if (!stage.input_gradient) continue;
    const timeline::Scope drawn(lane_, "backward", stage.name);
    RUBATO_TRY(stage.op->backward_data());
  }
  RUBATO_TRY(hand_over(batch, loss, sink, true));
  if (loss) return *loss;
  return forward_result();
}

}  // namespace rubato::model
