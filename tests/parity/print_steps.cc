// Trains a network by plain SGD on random samples, on any device, and writes all that devices_test.py compares with
// PyTorch: weights at the start, batches, losses, gradients of the first step, and the scores after it. Of CUDA: it
// compiles and links, and has never run.
//
//   print_steps NAME --to FILE.safetensors [--device cpu|cuda] [--batch B] [--batches N] [--steps S] [--rate R]
//
// Step s takes batch s modulo N, so that there is something to learn. The scores are an evaluation's: a batch
// normalization takes its running moments, which stay as they start.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/local_case.h"
#include "bench/pinned_floats.h"
#include "data/safetensors.h"
#include "kernels/backend.h"
#include "kernels/initialize.h"

namespace rubato::bench {
namespace {

struct Options {
  std::string network = "cnn", device = "cpu", to;
  std::int64_t batch = 8, batches = 4, steps = 30;
  double rate = 0.02;
};

// Weights and gradients side by side, pinned as a worker's are, and plain SGD on the host, as servers do it.
class HostWeights final : public model::WeightSource, public model::GradientSink {
 public:
  explicit HostWeights(std::span<const ParameterSpec> parameters)
      : parameters_(parameters), floats_(total(parameters)), numbers_(2 * floats_) {
    std::size_t first = 0;
    for (const ParameterSpec& spec : parameters) {
      firsts_.push_back(first);
      first += static_cast<std::size_t>(spec.elements());
      kernels::initialize(spec, 1, 0, mutable_weights(firsts_.size() - 1));
    }
  }
  Status pin(kernels::Device& device) { return numbers_.pin(device); }

  std::span<const float> weights(std::size_t parameter) override { return mutable_weights(parameter); }
  Version version(std::size_t /*parameter*/) override { return updates_ + 1; }
  std::span<float> gradient_buffer(std::size_t parameter) override {
    return numbers_.of(floats_ + firsts_[parameter], size(parameter));
  }
  void ready(std::size_t /*parameter*/) override {}

  void update(float rate) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      if (parameters_[p].average > 0) continue;  // running moments, which training does not read
      const auto weights = mutable_weights(p), gradient = gradient_buffer(p);
      for (std::size_t i = 0; i < weights.size(); ++i) weights[i] -= rate * gradient[i];
    }
    ++updates_;
  }

 private:
  static std::size_t total(std::span<const ParameterSpec> parameters) {
    std::size_t floats = 0;
    for (const ParameterSpec& spec : parameters) floats += static_cast<std::size_t>(spec.elements());
    return floats;
  }
  [[nodiscard]] std::size_t size(std::size_t parameter) const {
    return static_cast<std::size_t>(parameters_[parameter].elements());
  }
  std::span<float> mutable_weights(std::size_t parameter) { return numbers_.of(firsts_[parameter], size(parameter)); }

  std::span<const ParameterSpec> parameters_;
  std::vector<std::size_t> firsts_;
  std::size_t floats_;
  PinnedFloats numbers_;  // weights, then gradients
  Version updates_ = 0;
};

// A part of all samples.
model::Batch part_of(const RandomBatch& all, std::int64_t first, std::int64_t samples) {
  const auto cut = [&](const auto& values) {
    const std::size_t each = values.size() / all.ids.size();
    return std::span(values).subspan(static_cast<std::size_t>(first) * each, static_cast<std::size_t>(samples) * each);
  };
  return {
      .inputs = cut(all.inputs), .labels = cut(all.labels), .targets = {}, .sample_ids = cut(all.ids), .lengths = {}};
}

data::Tensor tensor(std::string name, std::vector<std::int64_t> shape, std::span<const float> values) {
  return {.name = std::move(name), .shape = std::move(shape), .values = {values.begin(), values.end()}};
}

std::vector<data::Tensor> of_parameters(const std::string& what, const model::Model& net, auto&& values_of) {
  std::vector<data::Tensor> tensors;
  for (std::size_t p = 0; p < net.parameters().size(); ++p) {
    const ParameterSpec& spec = net.parameters()[p];
    tensors.push_back(tensor(what + "/" + spec.name, spec.shape, values_of(p)));
  }
  return tensors;
}

Status run(const Options& options) {
  RUBATO_ASSIGN(const LocalCase chosen, find_case(options.network));
  RUBATO_ASSIGN(auto device, kernels::open_device({.name = options.device}));
  RUBATO_ASSIGN(auto net, model::make_model(chosen.config, chosen.shape, chosen.classes, *device, options.batch, 1));
  const RandomBatch samples(chosen, options.batch * options.batches);
  HostWeights host(net->parameters());
  RUBATO_TRY(host.pin(*device));

  std::vector<data::Tensor> tensors = of_parameters("start", *net, [&](std::size_t p) { return host.weights(p); });
  const auto keep = [&](std::vector<data::Tensor> more) { std::ranges::move(more, std::back_inserter(tensors)); };
  std::vector<float> losses;
  for (std::int64_t step = 0; step < options.steps; ++step) {
    const model::Batch batch = part_of(samples, step % options.batches * options.batch, options.batch);
    RUBATO_ASSIGN(const auto stats, net->train_leaf(batch, host, host));
    losses.push_back(static_cast<float>(stats.loss_sum / static_cast<double>(options.batch)));
    if (step == 0) keep(of_parameters("gradient", *net, [&](std::size_t p) { return host.gradient_buffer(p); }));
    host.update(static_cast<float>(options.rate / static_cast<double>(options.batch)));
    if (step > 0) continue;
    RUBATO_ASSIGN(const auto after, net->evaluate(batch, host));
    tensors.push_back(tensor("outputs", {options.batch, net->outputs()}, after.outputs));
  }
  tensors.push_back(tensor("losses", {options.steps}, losses));
  const model::InputShape& in = chosen.shape;
  tensors.push_back(
      tensor("inputs", {options.batch * options.batches, in.height, in.width, in.channels}, samples.inputs));
  const std::vector<float> labels(samples.labels.begin(), samples.labels.end());  // exact: few classes
  tensors.push_back(tensor("labels", {static_cast<std::int64_t>(labels.size())}, labels));

  std::vector<data::TensorView> views;
  for (const data::Tensor& each : tensors) views.push_back(each.view());
  RUBATO_TRY(data::write_safetensors(options.to, views));
  fmt::print("{}\n", device->description());
  return {};
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  rubato::bench::Options options;
  CLI::App app("Trains a network by plain SGD on random samples, and writes what devices_test.py compares");
  app.add_option("network", options.network, "one of bench/local_case.cc, as local_train takes them")
      ->capture_default_str();
  app.add_option("--to", options.to, "a file of safetensors")->required();
  app.add_option("--device", options.device, "as worker.device")->capture_default_str();
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--batches", options.batches, "that are taken in turn")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--steps", options.steps)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rate", options.rate)->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const rubato::Status status = rubato::bench::run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "print_steps: {}\n", status.error().message);
  return status.error().exit_code();
}
