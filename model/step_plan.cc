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

}  // namespace rubato::model
