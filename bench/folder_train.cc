// Trains a ResNet in one process on a folder of images, and on batches of the same that lie in memory, by turns: what
// reading, decoding and cutting out cost where they share the cores with the training.
//
//   bench/make_photos.py /tmp/photos
//   folder_train /tmp/photos [--threads T] [--readers R] [--batch B] [--steps S] [--rounds N] [--cache-mb M]
//
// The loader reads ahead while a step computes, as a worker's does. The cores are those that the process may run on:
// `taskset -c 0 folder_train ... --threads 1` shares one among all.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <string>
#include <vector>

#include "base/time.h"
#include "bench/local_trainer.h"
#include "bench/rows.h"
#include "data/loader.h"
#include "kernels/backend.h"
#include "model/model.h"

namespace rubato::bench {
namespace {

struct Options {
  Job job;
  int threads = 1;
  std::int64_t batch = 8, steps = 8, rounds = 5;
  bool decode_only = false;
};

// What this process had in memory at most, in MiB.
std::int64_t most_memory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t kib = 0;
  while (status >> word)
    if (word == "VmHWM:") status >> kib;
  return kib >> 10;
}

model::Batch view_of(const data::BatchBuffer& buffer, std::uint64_t epoch) {
  return {buffer.inputs, buffer.labels, buffer.targets, buffer.sample_ids, buffer.lengths, epoch};
}

// The ranges of a worker's steps, epoch after epoch.
class Ranges {
 public:
  Ranges(std::uint64_t samples, std::int64_t batch) : samples_(samples), batch_(static_cast<std::uint64_t>(batch)) {}
  [[nodiscard]] data::SampleRange at(std::uint64_t step) const {
    const std::uint64_t steps = samples_ / batch_;
    return {step / steps, step % steps * batch_, batch_};
  }

 private:
  const std::uint64_t samples_, batch_;
};

double samples_per_second(std::int64_t samples, TimeNs began) {
  return static_cast<double>(samples) / seconds(steady_now() - began);
}

Status decode(const data::Dataset& dataset, const Options& options, const Ranges& ranges) {
  data::BatchBuffer buffer;
  data::EpochOrder order(data::EpochOrder::Kind::kShuffled, 1, dataset.size());
  std::vector<double> rates;
  std::uint64_t step = 0;
  for (std::int64_t round = 0; round < options.rounds; ++round) {
    const TimeNs began = steady_now();
    for (std::int64_t i = 0; i < options.steps; ++i) {
      const data::SampleRange range = ranges.at(step++);
      RUBATO_TRY(dataset.gather(range.epoch, order.of(range.epoch).subspan(range.first, range.count), buffer));
    }
    rates.push_back(samples_per_second(options.steps * options.batch, began));
  }
  fmt::print("reading alone, {} readers: {:.1f} samples/s\n", options.job.data.readers, median(rates));
  return {};
}

Status run(const Options& options) {
  const Job& job = options.job;
  RUBATO_ASSIGN(const auto dataset, data::open_dataset(job, data::Split::kTrain));
  const Ranges ranges(dataset->size(), options.batch);
  if (options.decode_only) return decode(*dataset, options, ranges);

  RUBATO_ASSIGN(auto device, kernels::open_device({"cpu", options.threads}));
  device->enter();
  const data::SampleShape shape = dataset->shape();
  RUBATO_ASSIGN(auto net, model::make_model(job.model, {shape.height, shape.width, shape.channels}, job.data.classes,
                                            *device, options.batch, 1));
  LocalTrainer trainer(net->parameters(), 1);
  data::Loader loader(*dataset, data::EpochOrder::Kind::kShuffled, 1);
  std::vector<data::BatchBuffer> held(4);
  for (std::size_t i = 0; i < held.size(); ++i) RUBATO_TRY(loader.gather(ranges.at(i), held[i]));

  const auto train = [&](const data::BatchBuffer& buffer, std::uint64_t epoch) -> Status {
    RUBATO_TRY(net->train_leaf(view_of(buffer, epoch), trainer, trainer));
    trainer.update(0.001f, 0.9f, options.batch);
    return {};
  };
  data::BatchBuffer buffer;
  std::uint64_t step = held.size();
  const auto from_folder = [&]() -> Status {
    loader.hint(ranges.at(step + 1));
    RUBATO_TRY(loader.gather(ranges.at(step), buffer));
    return train(buffer, ranges.at(step++).epoch);
  };
  for (int warm = 0; warm < 2; ++warm) RUBATO_TRY(from_folder());

  std::vector<double> in_memory, folder, ratios;
  for (std::int64_t round = 0; round < options.rounds; ++round) {
    TimeNs began = steady_now();
    for (std::int64_t i = 0; i < options.steps; ++i)
      RUBATO_TRY(train(held[static_cast<std::size_t>(i) % held.size()], 0));
    in_memory.push_back(samples_per_second(options.steps * options.batch, began));
    began = steady_now();
    for (std::int64_t i = 0; i < options.steps; ++i) RUBATO_TRY(from_folder());
    folder.push_back(samples_per_second(options.steps * options.batch, began));
    ratios.push_back(folder.back() / in_memory.back());
  }
  fmt::print(
      "{} {} x {}, batch {}, {} threads, {} readers, cache {} MiB: in memory {:.2f} samples/s, folder {:.2f}, "
      "ratio {:.3f} (medians of {} rounds of {} steps); {} MiB at most\n",
      job.model.name, shape.height, shape.width, options.batch, options.threads, job.data.readers, job.data.cache_mb,
      median(in_memory), median(folder), median(ratios), options.rounds, options.steps, most_memory());
  return {};
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  rubato::bench::Options options;
  rubato::Job& job = options.job;
  job.data.kind = "folder";
  job.data.cache_mb = 0;
  job.data.normalization = "imagenet";
  job.data.test_fraction = 0.0;
  job.model.name = "resnet18";
  job.model.stem = "imagenet";
  CLI::App app("Trains a ResNet on a folder of images and on the same in memory, and compares");
  app.add_option("folder", job.data.path, "images, a folder for each class")->required();
  app.add_option("--classes", job.data.classes)->capture_default_str();
  app.add_option("--model", job.model.name, "resnet18, resnet34 or resnet50")->capture_default_str();
  app.add_option("--image-size", job.data.image_size)->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--readers", job.data.readers)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--cache-mb", job.data.cache_mb)->capture_default_str();
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--steps", options.steps, "in each timed window")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--decode-only", options.decode_only, "only reads, and says how fast");
  CLI11_PARSE(app, argc, argv);
  const rubato::Status status = rubato::bench::run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "folder_train: {}\n", status.error().message);
  return status.error().exit_code();
}
