// What a person should know of a job that is valid.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/job.h"
#include "base/layer_text.h"
#include "base/stragglers.h"

namespace rubato {
namespace {

void add_data_without_effect(const Job& job, std::vector<std::string>& notes) {
  const DataConfig &data = job.data, plain;
  const std::string images = "idx npy npz cifar folder", tables = "csv libsvm series", split = tables + " text folder";
  // What is held out of these is drawn.
  const std::string drawn = job.evaluation.holdout > 0.0 ? " idx npy npz cifar synthetic" : "";
  struct Key {
    std::string_view name;
    bool changed;
    std::string kinds;  // that look at it
  };
  const Key keys[] = {
      {"data.train_lengths", data.train_lengths != plain.train_lengths, "npy"},
      {"data.test_lengths", data.test_lengths != plain.test_lengths, "npy"},
      {"data.samples", data.samples != plain.samples, "synthetic"},
      {"data.first_label", data.first_label != plain.first_label, "npy npz csv libsvm"},
      {"data.mean", data.mean != plain.mean, images},
      {"data.stddev", data.stddev != plain.stddev, images},
      {"data.normalization", data.normalization != plain.normalization, "folder"},
      {"data.image_size", data.image_size != plain.image_size, "folder"},
      {"data.resize", data.resize != plain.resize, "folder"},
      {"data.channels", data.channels != plain.channels, "folder"},
      {"data.crop", data.crop != plain.crop, "folder"},
      {"data.crop_area", data.crop_area != plain.crop_area, "folder"},
      {"data.crop_ratio", data.crop_ratio != plain.crop_ratio, "folder"},
      {"data.flip", data.flip != plain.flip, "folder"},
      {"data.readers", data.readers != plain.readers, "folder"},
      {"data.cache_mb", data.cache_mb != plain.cache_mb, "folder"},
      {"data.target", data.target != plain.target, "csv series cifar"},
      {"data.columns", data.columns != plain.columns, "csv series"},
      {"data.group", data.group != plain.group, "csv folder"},
      {"data.time", data.time != plain.time, "series"},
      {"data.separator", data.separator != plain.separator, "csv series"},
      {"data.missing", data.missing != plain.missing, "csv series"},
      {"data.scaling", data.scaling != plain.scaling, tables},
      {"data.target_scaling", data.target_scaling != plain.target_scaling, tables},
      {"data.validation_fraction", data.validation_fraction != plain.validation_fraction, split},
      {"data.test_fraction", data.test_fraction != plain.test_fraction, split},
      {"data.split_seed", data.split_seed != plain.split_seed, "csv libsvm folder" + drawn},
      {"data.skip_max", data.skip_max != plain.skip_max, tables + " folder"},
      {"data.features", data.features != plain.features, "libsvm"},
      {"data.window", data.window != plain.window, "series text"},
      {"data.horizon", data.horizon != plain.horizon, "series"},
      {"data.stride", data.stride != plain.stride, "series text"},
      {"data.season", data.season != plain.season, "series"},
  };
  for (const Key& key : keys)
    if (key.changed && (" " + key.kinds + " ").find(" " + data.kind + " ") == std::string::npos)
      notes.push_back(fmt::format("{} has no effect on {} data", key.name, data.kind));
  const bool is_split = data.validation_fraction + data.test_fraction + job.evaluation.holdout > 0.0;
  if (!data.group.empty() && !is_split && (data.kind == "csv" || data.kind == "folder"))
    notes.emplace_back(
        "data.group has no effect: data.validation_fraction, data.test_fraction and evaluation.holdout are 0, and "
        "nothing is split");
}

// Keys that a job has changed and that nothing of it looks at.
void add_keys_without_effect(const Job& job, std::vector<std::string>& notes) {
  const Job untouched;
  const ModelConfig &model = job.model, &plain = untouched.model;
  const std::string& network = model.name;
  const std::string& rule = job.optimizer.name;
  const bool layers = network != "quadratic", momentum = rule == "momentum" || rule == "nesterov",
             adam = rule.starts_with("adam");
  const auto idle = [&](bool matters, bool changed, std::string_view key, std::string_view of) {
    if (changed && !matters) notes.push_back(fmt::format("{} has no effect on {}", key, of));
  };
  const bool belief = network == "dbn";
  idle(network == "mlp" || belief, model.hidden != plain.hidden, "model.hidden", network);
  idle(network == "mlp" || network == "lenet5", model.activation != plain.activation, "model.activation", network);
  idle(network == "cnn", model.channels != plain.channels, "model.channels", network);
  idle(network == "cnn", model.dense != plain.dense, "model.dense", network);
  const bool residual = network.starts_with("resnet");
  idle(residual, model.stem != plain.stem, "model.stem", network);
  const bool gpt = network == "gpt", recurrent = network == "lstm" || network == "gru";
  idle(residual || recurrent || gpt, model.width != plain.width, "model.width", network);
  idle(recurrent || gpt, model.layers != plain.layers, "model.layers", network);
  idle(recurrent, model.bidirectional != plain.bidirectional, "model.bidirectional", network);
  idle(gpt, model.heads != plain.heads, "model.heads", network);
  idle(layers && network != "layers", model.dropout != plain.dropout, "model.dropout", network);
  idle(layers, model.loss != plain.loss, "model.loss", network);
  idle(!layers, model.size != plain.size, "model.size", network);
  idle(network == "layers", model.network != plain.network, "model.network", network);
  idle(belief, model.pretrain_epochs != plain.pretrain_epochs, "model.pretrain_epochs", network);
  const bool machines = belief && model.pretrain_epochs > 0;
  const std::string without = belief ? "a dbn without pretraining" : network;
  idle(machines, model.cd_steps != plain.cd_steps, "model.cd_steps", without);
  idle(machines, model.persistent != plain.persistent, "model.persistent", without);
  idle(machines, job.optimizer.pretrain_rate != untouched.optimizer.pretrain_rate, "optimizer.pretrain_rate", without);
  idle(!model.pretrained.empty(), model.skip != plain.skip, "model.skip", "weights that are all drawn");
  add_data_without_effect(job, notes);
  const bool leaves = parse_mode(job.consistency.mode).value().apply() == Mode::Apply::kAggregate;
  idle(!leaves, job.worker.micro_batch != 0, "worker.micro_batch", "bsp, where train.micro_batches cuts batches");
  idle(job.cluster.transport == "tcp", job.cluster.scheduler_port != untouched.cluster.scheduler_port,
       "cluster.scheduler_port", job.cluster.transport);
  idle(job.evaluation.patience > 0, job.evaluation.min_delta != untouched.evaluation.min_delta, "evaluation.min_delta",
       "a job without evaluation.patience");
  const OptimizerConfig &optimizer = job.optimizer, &usual = untouched.optimizer;
  idle(momentum, optimizer.momentum != usual.momentum, "optimizer.momentum", rule);
  idle(adam, optimizer.beta1 != usual.beta1, "optimizer.beta1", rule);
  idle(adam, optimizer.beta2 != usual.beta2, "optimizer.beta2", rule);
  idle(adam, optimizer.epsilon != usual.epsilon, "optimizer.epsilon", rule);
}

// Whether anything is multiplied in dense layers or convolutions before the last layer.
bool multiplies_inside(const ModelConfig& model) {
  if (model.name != "layers") return model.name != "logistic" && model.name != "lstm" && model.name != "gru";
  const Result<std::vector<LayerText>> network = parse_network(model.network);
  return network && !network->empty() &&
         std::ranges::any_of(network->begin(), network->end() - 1,
                             [](const LayerText& layer) { return layer.kind == "conv" || layer.kind == "dense"; });
}

void add_precision(const Job& job, std::vector<std::string>& notes) {
  const std::string& precision = job.worker.precision;
  if (precision == WorkerConfig().precision) return;
  if (job.model.name == "quadratic")
    notes.push_back("worker.precision has no effect on quadratic");
  else if (!multiplies_inside(job.model))
    notes.push_back(fmt::format(
        "worker.precision = \"{}\" rounds what convolutions and dense layers multiply, and {} has none but the last "
        "layer: all else is float32 as ever, and about as fast",
        precision, job.model.name == "layers" ? "model.network" : "this " + job.model.name));
}

void add_wire(const Job& job, const Mode& mode, std::vector<std::string>& notes) {
  const std::string& wire = job.cluster.wire;
  if (wire == ClusterConfig().wire) return;
  if (job.cluster.transport == "ipc")
    notes.push_back(fmt::format(
        "cluster.wire = \"{}\" halves what goes over a network, and this job stays on one host: there it costs time",
        wire));
  if (mode.apply() == Mode::Apply::kAggregate && job.cluster.workers > 1)
    notes.push_back(fmt::format(
        "cluster.wire = \"{}\" rounds each worker's sum: {} gives the same bits for the same number of workers only",
        wire, job.consistency.mode));
}

}  // namespace

std::vector<std::string> job_notes(const Job& job) {
  std::vector<std::string> notes;
  const Mode mode = parse_mode(job.consistency.mode).value();
  if (!mode.local() && job.optimizer.outer != OuterConfig()) {
    notes.push_back(fmt::format("optimizer.outer has no part in {}: only local:H has deltas", job.consistency.mode));
  }
  if (mode.local() && mode.apply() == Mode::Apply::kOnArrival && job.optimizer.outer.name == "average" &&
      job.cluster.workers > 1) {
    notes.push_back(fmt::format(
        "optimizer.outer.name = \"average\" on arrival takes the whole delta of each of {} workers, and not their "
        "mean; \"delayed_nesterov\" takes a part of each",
        job.cluster.workers));
  }
  if (job.optimizer.clip_norm > 0) {
    notes.push_back("optimizer.clip_norm needs the whole gradient before any of it may leave: early pushing is off");
  }
  if (job.train.steps > 0 && job.train.epochs > 1) {
    notes.push_back(fmt::format("train.steps = {} ends the job, whatever train.epochs says", job.train.steps));
  }
  if (const std::int64_t named = Stragglers::workers_named(job.worker.stragglers); named > job.cluster.workers) {
    notes.push_back(fmt::format("worker.stragglers = \"{}\" makes {} workers slower, and the job has {}: all of them",
                                job.worker.stragglers, named, job.cluster.workers));
  }
  const OptimizerConfig& optimizer = job.optimizer;
  const bool compensates = optimizer.compensation.name != "none";
  if (!mode.has_ages()) {
    const auto idle = [&](std::string_view key, std::string_view value) {
      notes.push_back(fmt::format("{} = \"{}\" changes nothing in {}, where no gradient is older than the weights", key,
                                  value, job.consistency.mode));
    };
    if (optimizer.age_scaling != "none") idle("optimizer.age_scaling", optimizer.age_scaling);
    if (compensates) idle("optimizer.compensation.name", optimizer.compensation.name);
  } else if (compensates) {
    notes.push_back(
        fmt::format("optimizer.compensation.name = \"{}\" keeps the weights that each worker read: about {} "
                    "versions of every slice on the servers, with their optimizer state, instead of 2",
                    optimizer.compensation.name, job.cluster.workers + 2));
  }
  add_wire(job, mode, notes);
  add_precision(job, notes);
  add_keys_without_effect(job, notes);
  return notes;
}

}  // namespace rubato
