// Trains a model of this repository in one process, without servers, on random images: what the
// distributed run's samples/s are held against (bench/overhead), and itself held against bench/lean_loop.
//
//   local_train [cnn|lenet5|mlp|logistic] [--batch B] [--threads T] [--steps S] [--windows W]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/rng.h"
#include "bench/local_trainer.h"
#include "bench/stopwatch.h"
#include "kernels/backend.h"
#include "model/model.h"

namespace rubato::bench {
namespace {

struct Options {
  std::string model = "cnn";
  std::int64_t batch = 64, steps = 100, windows = 5;
  int threads = 1;
};

ModelConfig config_for(const std::string& name) {
  ModelConfig config;
  config.name = name;
  if (name == "mlp") config.hidden = {1024, 1024};
  if (name == "cnn") config.channels = {32, 64};
  return config;
}

Status run(const Options& options) {
  RUBATO_ASSIGN(auto device, kernels::open_device("cpu", options.threads));
  constexpr model::InputShape shape{28, 28, 1};
  constexpr std::int32_t classes = 10;
  RUBATO_ASSIGN(auto net, model::make_model(config_for(options.model), shape, classes, *device, options.batch, 1));
  LocalTrainer trainer(net->parameters(), 1);

  RandomStream random(stream_key(1, "local_train"));
  std::vector<float> inputs(static_cast<std::size_t>(options.batch * shape.elements()));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(options.batch));
  for (float& input : inputs) input = static_cast<float>(random.next_unit());
  for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(classes));
  const model::Batch batch{.inputs = inputs, .labels = labels, .targets = {}, .sample_ids = {}, .epoch = 0};

  const auto train = [&](std::int64_t steps) -> Status {
    for (std::int64_t step = 0; step < steps; ++step) {
      RUBATO_TRY(net->train_leaf(batch, trainer, trainer));
      trainer.update(0.01f, 0.9f, options.batch);
    }
    return {};
  };
  RUBATO_TRY(train(options.steps / 5 + 1));
  Stopwatch stopwatch;
  for (std::int64_t window = 0; window < options.windows; ++window) {
    stopwatch.start();
    RUBATO_TRY(train(options.steps));
    stopwatch.stop(options.steps * options.batch);
  }
  fmt::print("local_train {} batch {}: {} (best of {} windows of {} steps; {})\n", options.model, options.batch,
             stopwatch.text(), options.windows, options.steps, device->description());
  return {};
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  rubato::bench::Options options;
  CLI::App app("Trains a model in one process, without servers, and prints samples per second");
  app.add_option("model", options.model, "cnn, lenet5, mlp (784-1024-1024-10) or logistic")->capture_default_str();
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--steps", options.steps, "in each timed window")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--windows", options.windows)->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const rubato::Status status = rubato::bench::run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "local_train: {}\n", status.error().message);
  return status.error().exit_code();
}
