// Trains a model of this repository in one process, without servers, on random samples: what the distributed run's
// samples/s are held against (bench/overhead), and itself held against bench/lean_loop and PyTorch
// (bench/versus_torch.py).
//
//   local_train [NAME] [--batch B] [--threads T] [--steps S] [--windows W] [--plan | --direct] [--bfloat16] [--layers]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>

#include "bench/layer_profile.h"
#include "bench/local_case.h"
#include "bench/local_trainer.h"
#include "bench/stopwatch.h"
#include "kernels/backend.h"
#include "kernels/planned_device.h"
#include "model/architectures.h"
#include "model/model.h"

namespace rubato::bench {
namespace {

struct Options {
  std::string model = "cnn";
  std::int64_t batch = 64, steps = 100, windows = 5;
  int threads = 1;
  bool plan = false, direct = false, bfloat16 = false, layers = false;
};

// What is left of it sums products as they are defined.
kernels::PlanBook without_winograd(const kernels::PlanBook& measured) {
  kernels::PlanBook direct(measured.device());
  for (kernels::PlanEntry entry : measured.entries()) {
    std::erase_if(entry.ways, [](const kernels::TimedWay& way) { return way.way == "winograd"; });
    direct.add(std::move(entry));
  }
  return direct;
}

// By rule, or by a plan that is measured here.
Result<std::unique_ptr<kernels::Device>> open_device(const Options& options, const LocalCase& chosen) {
  const kernels::DeviceConfig config{
      .name = "cpu",
      .threads = options.threads,
      .precision = options.bfloat16 ? kernels::Precision::kBfloat16 : kernels::Precision::kFloat32};
  if (!options.plan && !options.direct) return kernels::open_device(config);
  kernels::PlanBook measured;
  RUBATO_ASSIGN(auto device, kernels::open_measuring_device(config, measured));
  RUBATO_ASSIGN(auto net, model::make_model(chosen.config, chosen.shape, chosen.classes, *device, options.batch, 1));
  RUBATO_TRY(net->memory_for(options.batch, true));
  return kernels::open_planned_device(
      config, std::make_shared<const kernels::PlanBook>(options.direct ? without_winograd(measured) : measured));
}

// One more window, drawn, and of it where its time went.
Status print_layers(const Options& options, const LocalCase& chosen, kernels::Device& device, model::Model& net,
                    LocalTrainer& trainer, const model::Batch& batch) {
  RUBATO_ASSIGN(const auto loss, model::parse_loss(chosen.config.loss));
  RUBATO_ASSIGN(const auto layers,
                model::build_layers(chosen.config, chosen.shape, model::outputs_for(loss, chosen.classes), 1));
  timeline::Lane lane("compute", {.first = 0, .count = options.steps});
  net.draw(&lane);
  ProfiledSteps profiled;
  profiled.steps = options.steps;
  profiled.samples = options.batch;
  for (std::int64_t step = 0; step < options.steps; ++step) {
    lane.begin_step(step);
    const TimeNs begin = steady_now();
    RUBATO_TRY(net.train_leaf(batch, trainer, trainer));
    profiled.wall += steady_now() - begin;
    trainer.update(0.01f, 0.9f, options.batch);
  }
  net.draw(nullptr);
  if (lane.left_out() > 0) return Error{Cause::kUsage, "so many steps do not fit on a timeline: say fewer --steps"};
  profiled.spans = lane.spans();
  RUBATO_ASSIGN(const std::string text, profile_text(profiled, layers, device));
  fmt::print("{}", text);
  return {};
}

Status run(const Options& options) {
  RUBATO_ASSIGN(const LocalCase chosen, find_case(options.model));
  RUBATO_ASSIGN(auto device, open_device(options, chosen));
  RUBATO_ASSIGN(auto net, model::make_model(chosen.config, chosen.shape, chosen.classes, *device, options.batch, 1));
  LocalTrainer trainer(net->parameters(), 1);
  const RandomBatch samples(chosen, options.batch);
  const model::Batch batch = samples.view();

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
  return options.layers ? print_layers(options, chosen, *device, *net, trainer, batch) : Status();
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  rubato::bench::Options options;
  CLI::App app("Trains a model in one process, without servers, and prints samples per second");
  app.add_option("model", options.model,
                 "logistic, mlp (784-1024-1024-10), lenet5, cnn, resnet18 (32 x 32), resnet18-imagenet, lstm or gru (2 "
                 "layers of 256, 64 positions), gpt (4 layers of 128, 128 positions) or gpt2-small (12 layers of 768, "
                 "1024 positions)")
      ->capture_default_str();
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--steps", options.steps, "in each timed window")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--windows", options.windows)->check(CLI::PositiveNumber)->capture_default_str();
  CLI::Option* plan =
      app.add_flag("--plan", options.plan, "time the ways of each convolution first, and take the fastest");
  app.add_flag("--direct", options.direct, "the same, without Winograd's algorithm")->excludes(plan);
  app.add_flag("--bfloat16", options.bfloat16, "multiply numbers rounded to bfloat16, as worker.precision does");
  app.add_flag("--layers", options.layers, "then say of each layer what it took, and what does it");
  CLI11_PARSE(app, argc, argv);
  const rubato::Status status = rubato::bench::run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "local_train: {}\n", status.error().message);
  return status.error().exit_code();
}
