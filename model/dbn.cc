#include "model/dbn.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/pretraining.h"
#include "model/check_inputs.h"

namespace rubato::model {
namespace {

constexpr std::size_t kOfMachine = 3;  // weight, bias, visible bias

}  // namespace

void add_belief_layers(NetworkBuilder& net, const ModelConfig& config) {
  for (std::size_t i = 0; i < config.hidden.size(); ++i)
    net.append(fmt::format("fc{}", i + 1), kernels::DenseDesc{.input = net.shape(),
                                                              .units = config.hidden[i],
                                                              .activation = kernels::Activation::kSigmoid,
                                                              .visible_bias = pretraining_epochs(config) > 0});
}

Dbn::Dbn(kernels::Device& device, std::vector<Layer> layers, std::vector<ParameterSpec> parameters,
         kernels::LossDesc loss, std::int64_t samples_max, const ModelConfig& config, std::uint64_t seed)
    : device_(device),
      network_(device, std::move(layers), std::move(parameters), std::move(loss), samples_max),
      config_(config),
      samples_max_(samples_max),
      seed_(seed),
      units_(config.hidden),
      machines_(config.hidden.size()) {
  RUBATO_CHECK(pretraining_epochs(config) > 0, "nothing to train machines in");
  units_.insert(units_.begin(), network_.parameters()[0].shape[1]);
}

std::optional<std::size_t> Dbn::machine_of_epoch(std::uint64_t epoch) const { return machine_of(config_, epoch); }

Status Dbn::check(const Batch& batch) const {
  RUBATO_TRY(check_inputs(batch, samples_max_, units_[0]));
  const auto odd = std::ranges::find_if(batch.inputs, [](float value) { return !(value >= 0.0f && value <= 1.0f); });
  if (odd == batch.inputs.end()) return {};
  const auto at = static_cast<std::size_t>(odd - batch.inputs.begin()), width = static_cast<std::size_t>(units_[0]);
  const std::size_t sample = at / width;
  return Error{
      Cause::kData,
      fmt::format(
          "sample {}, value {}: is {} as an input, and the machines of a dbn, whose units are binary, see numbers "
          "from 0 to 1 only; images have such with data.mean = 0 and data.stddev = 1",
          batch.sample_ids.empty() ? fmt::format("{} of the batch", sample)
                                   : fmt::format("{}", batch.sample_ids[sample]),
          at % width, *odd)};
}

Result<kernels::Rbm*> Dbn::machine(std::size_t number) {
  std::unique_ptr<kernels::Rbm>& made = machines_[number];
  if (made == nullptr) {
    RUBATO_ASSIGN(made, device_.plan_rbm({.visible = units_[number],
                                          .hidden = units_[number + 1],
                                          .samples_max = samples_max_,
                                          .steps = config_.cd_steps,
                                          .seed = seed_,
                                          .machine = number}));
    const auto widest = static_cast<std::size_t>(*std::ranges::max_element(units_) * samples_max_);
    below_.resize(widest), above_.resize(widest);
  }
  return made.get();
}

Result<kernels::RbmWeights> Dbn::weights_of(std::size_t machine, WeightSource& source) const {
  std::span<const float> spans[kOfMachine];
  for (std::size_t i = 0; i < kOfMachine; ++i) {
    spans[i] = source.weights(machine * kOfMachine + i);
    if (spans[i].empty())
      return Error{Cause::kInterrupted,
                   fmt::format("the weights of {} did not come", parameters()[machine * kOfMachine + i].name)};
  }
  return kernels::RbmWeights{spans[0], spans[1], spans[2]};
}

Result<std::span<const float>> Dbn::climb(std::size_t machine, const Batch& batch, WeightSource& source) {
  std::span<const float> seen = batch.inputs;
  for (std::size_t below = 0; below < machine; ++below) {
    RUBATO_ASSIGN(kernels::Rbm * rbm, this->machine(below));
    RUBATO_ASSIGN(const kernels::RbmWeights weights, weights_of(below, source));
    const std::span<float> probabilities =
        std::span(above_).first(batch.samples() * static_cast<std::size_t>(units_[below + 1]));
    const timeline::Scope drawn(lane_, "forward");
    RUBATO_TRY(rbm->hidden(weights, seen, probabilities));
    std::swap(below_, above_);
    seen = std::span<const float>(below_).first(probabilities.size());
  }
  return seen;
}

Result<LeafStats> Dbn::train_leaf(const Batch& batch, WeightSource& source, GradientSink& sink) {
  const std::optional<std::size_t> trained = machine_of_epoch(batch.epoch);
  if (!trained) return network_.train_leaf(batch, source, sink);
  RUBATO_TRY(check(batch));
  RUBATO_CHECK(!config_.persistent || batch.chains != nullptr, "nobody keeps the chains of leaf {}", batch.leaf);
  device_.enter();
  RUBATO_ASSIGN(kernels::Rbm * rbm, machine(*trained));
  RUBATO_ASSIGN(const std::span<const float> seen, climb(*trained, batch, source));
  RUBATO_ASSIGN(const kernels::RbmWeights weights, weights_of(*trained, source));
  // All others are waited for, too: a step is over with all the weights of its clock.
  for (std::size_t i = (*trained + 1) * kOfMachine; i < parameters().size(); ++i)
    if (source.weights(i).empty())
      return Error{Cause::kInterrupted, fmt::format("the weights of {} did not come", parameters()[i].name)};
  RUBATO_ASSIGN(const double error, rbm->reconstruction_error(weights, seen));

  std::span<float> own[kOfMachine];
  const auto is_own = [&](std::size_t i) { return i / kOfMachine == *trained; };
  for (std::size_t i = parameters().size(); i-- > 0;) {
    const std::span<float> gradient = sink.gradient_buffer(i);
    if (!is_own(i)) {
      std::ranges::fill(gradient, 0.0f);
      sink.ready(i);
      continue;
    }
    own[i % kOfMachine] = gradient;
    if (i % kOfMachine != 0) continue;
    const timeline::Scope drawn(lane_, "gradient");
    std::vector<float>* chains = config_.persistent ? &batch.chains->of(*trained, batch.leaf) : nullptr;
    RUBATO_TRY(rbm->gradient(weights, {batch.epoch, batch.sample_ids}, seen, chains, {own[0], own[1], own[2]}));
    for (std::size_t k = kOfMachine; k-- > 0;) sink.ready(i + k);
  }
  return LeafStats{error, static_cast<std::int64_t>(batch.samples()), 0.0};
}

Result<Evaluation> Dbn::evaluate(const Batch& batch, WeightSource& source) {
  if (!evaluated_) return network_.evaluate(batch, source);
  RUBATO_TRY(check(batch));
  device_.enter();
  RUBATO_ASSIGN(kernels::Rbm * rbm, machine(*evaluated_));
  RUBATO_ASSIGN(const std::span<const float> seen, climb(*evaluated_, batch, source));
  RUBATO_ASSIGN(const kernels::RbmWeights weights, weights_of(*evaluated_, source));
  RUBATO_ASSIGN(const double error, rbm->reconstruction_error(weights, seen));
  return Evaluation{error, static_cast<std::int64_t>(batch.samples()), 0.0, {}, {}};
}

// Beside the whole network's: what the machine with the most units keeps, its chains, and two rows on the way up. All
// machines are made in the end.
Result<ModelMemory> Dbn::memory_for(std::int64_t samples, bool training) {
  RUBATO_ASSIGN(ModelMemory memory, network_.memory_for(samples, training));
  std::int64_t floats = 2 * *std::ranges::max_element(units_);
  for (std::size_t i = 0; i < machines_.size(); ++i) floats += 3 * units_[i] + 2 * units_[i + 1];
  if (config_.persistent) floats += *std::max_element(units_.begin(), units_.end() - 1);
  memory.activations += static_cast<std::size_t>(floats * samples) * sizeof(float);
  return memory;
}

void Dbn::draw(timeline::Lane* lane) {
  lane_ = lane;
  network_.draw(lane);
}

}  // namespace rubato::model
