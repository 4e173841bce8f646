// Forward and backward of a network on a GPU, its data there already and its weights the same in every step: samples/s
// of several windows. bench/gpu_steps.py holds them against PyTorch's. It has never run on a GPU.
//
//   gpu_steps NAME [--batch B] [--precision float32|tf32|bfloat16] [--seconds S] [--windows W] [--device NAME]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "bench/local_case.h"
#include "bench/pinned_floats.h"
#include "kernels/backend.h"
#include "kernels/initialize.h"
#include "kernels/precision.h"

namespace rubato::bench {
namespace {

struct Options {
  std::string network = "resnet18", device = "cuda", precision = "tf32";
  std::int64_t batch = 128, windows = 5;
  double seconds = 1.0;
  bool graphs = true;
};

// Weights that stay as they are, and gradients that go to memory that is pinned, as a worker's do; and the same batch
// again and again, which a device may have ahead.
class StillWeights final : public model::WeightSource, public model::GradientSink, public model::NextBatch {
 public:
  StillWeights(std::span<const ParameterSpec> parameters, const model::Batch& batch) : batch_(batch) {
    std::size_t floats = 0;
    for (const ParameterSpec& spec : parameters) {
      const auto elements = static_cast<std::size_t>(spec.elements());
      weights_.emplace_back(elements);
      kernels::initialize(spec, 1, 0, weights_.back());
      offsets_.push_back(floats);
      floats += elements;
    }
    gradients_.emplace(floats);
  }

  Status pin(kernels::Device& device) { return gradients_->pin(device); }

  std::span<const float> weights(std::size_t parameter) override { return weights_[parameter]; }
  Version version(std::size_t /*parameter*/) override { return 1; }
  std::span<float> gradient_buffer(std::size_t parameter) override {
    return gradients_->of(offsets_[parameter], weights_[parameter].size());
  }
  void ready(std::size_t /*parameter*/) override {}
  const model::Batch* peek() override { return &batch_; }

 private:
  const model::Batch& batch_;
  std::vector<std::vector<float>> weights_;
  std::vector<std::size_t> offsets_;  // of gradients
  std::optional<PinnedFloats> gradients_;
};

Status run(const Options& options) {
  RUBATO_ASSIGN(const LocalCase chosen, find_case(options.network));
  RUBATO_ASSIGN(auto device, kernels::open_device({.name = options.device,
                                                   .precision = kernels::precision_of(options.precision),
                                                   .graphs = options.graphs}));
  RUBATO_ASSIGN(auto net, model::make_model(chosen.config, chosen.shape, chosen.classes, *device, options.batch, 1));
  const RandomBatch samples(chosen, options.batch);
  model::Batch batch = samples.view();
  StillWeights still(net->parameters(), batch);
  RUBATO_TRY(still.pin(*device));
  batch.next = &still;

  const auto timed = [&](std::int64_t steps) -> Result<double> {
    const TimeNs began = steady_now();
    for (std::int64_t step = 0; step < steps; ++step) RUBATO_TRY(net->train_leaf(batch, still, still));
    return seconds(steady_now() - began);
  };
  RUBATO_TRY(timed(3));
  RUBATO_ASSIGN(const double three, timed(3));
  const auto steps = std::max<std::int64_t>(1, static_cast<std::int64_t>(3.0 * options.seconds / three));
  for (std::int64_t window = 0; window < options.windows; ++window) {
    RUBATO_ASSIGN(const double took, timed(steps));
    fmt::print("{:.2f}\n", static_cast<double>(steps * options.batch) / took);
  }
  return {};
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  rubato::bench::Options options;
  CLI::App app("Forward and backward on a GPU, weights and batch the same in every step; samples/s of each window");
  app.add_option("network", options.network, "one of bench/local_case.cc, as local_train takes them")
      ->capture_default_str();
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--precision", options.precision, "as worker.precision")
      ->check(CLI::IsMember({"float32", "tf32", "bfloat16"}))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of a window")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--windows", options.windows)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--device", options.device, "as worker.device")->capture_default_str();
  app.add_flag("!--no-graphs", options.graphs, "launch call by call, as worker.cuda_graphs = false does");
  CLI11_PARSE(app, argc, argv);
  const rubato::Status status = rubato::bench::run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "gpu_steps: {}\n", status.error().message);
  return status.error().exit_code();
}
