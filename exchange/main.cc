// rubato-weights: what is done with weights outside a job: taken to PyTorch, evaluated, predicted with.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/failure_line.h"
#include "base/log.h"
#include "base/out_of_memory.h"
#include "data/other_file.h"
#include "exchange/chosen_data.h"
#include "exchange/described_model.h"
#include "exchange/evaluate.h"
#include "exchange/export.h"
#include "exchange/figures_text.h"
#include "exchange/generate.h"
#include "exchange/predict.h"
#include "exchange/pretrained.h"
#include "exchange/subject.h"
#include "kernels/device_remark.h"
#include "kernels/update_device.h"
#include "protocol/initial_weights.h"
#include "worker/figures.h"
#include "worker/job_plan.h"

namespace rubato::exchange {
namespace {

struct Options {
  std::string subject, job_file, to, input;
  std::vector<std::string> settings;
  DataChoice data;
  Continuation text;
  bool json = false, probabilities = false;
};

Result<Subject> open(const Options& options) {
  Overrides overrides;
  for (const std::string& setting : options.settings) {
    RUBATO_ASSIGN(Override override, parse_override(setting));
    overrides.push_back(std::move(override));
  }
  return open_subject(options.subject, options.job_file, overrides);
}

Status export_to(const Options& options) {
  if (!options.to.ends_with(".safetensors"))
    return Error{Cause::kUsage,
                 fmt::format("--to {}: the name must end in .safetensors: that is what is written", options.to)};
  RUBATO_ASSIGN(const Subject subject, open(options));
  RUBATO_TRY(export_weights(subject, options.to));
  fmt::print("{}: {}, {} tensors, {} numbers, of {}\n", options.to, subject.job.model.name,
             subject.model.tensors.size() + subject.model.counters.size(), subject.weights.size(),
             subject.weights_file);
  return {};
}

Status evaluate(const Options& options) {
  RUBATO_ASSIGN(const Subject subject, open(options));
  RUBATO_ASSIGN(const auto evaluator, Evaluator::open(subject));
  RUBATO_ASSIGN(const ChosenData chosen, open_data(subject, options.data));
  RUBATO_ASSIGN(const worker::Figures figures, evaluator->figures_on(*chosen.data));
  if (options.json) {
    fmt::print("{}", json_of(figures, chosen.part, subject.job.model.loss));
    return {};
  }
  fmt::print("{} on {}\n{}", subject.weights_file, chosen.name, text_of(figures, *chosen.data, subject.job));
  return {};
}

constexpr std::int64_t kShown = 10;

Status predict_for(const Options& options) {
  if (!options.to.empty()) RUBATO_TRY(check_ending(options.to));
  if (options.input.empty() == options.data.part.empty())
    return Error{Cause::kUsage, "give --input FILE, or --part of the job's data"};
  RUBATO_ASSIGN(const Subject subject, open(options));
  RUBATO_ASSIGN(const auto evaluator, Evaluator::open(subject));
  std::unique_ptr<data::Dataset> data;
  if (options.input.empty()) {
    RUBATO_ASSIGN(ChosenData chosen, open_data(subject, options.data));
    data = std::move(chosen.data);
  } else {
    if (subject.data.lengths && options.data.lengths.empty())
      return Error{Cause::kUsage,
                   fmt::format("--input {}: give --lengths too: {} is of a model of sequences of different lengths",
                               options.input, subject.weights_file)};
    RUBATO_ASSIGN(data,
                  data::open_inputs_alone(subject.job, options.input, options.data.lengths, subject.fitted.get()));
  }
  const Scores scores = options.probabilities ? Scores::kProbabilities : Scores::kOutputs;
  RUBATO_ASSIGN(const Predictions all, predict(*evaluator, *data, subject.job, scores));
  if (!options.to.empty()) {
    RUBATO_TRY(write_predictions(all, options.to));
    fmt::print("{}: {} samples, {} outputs of each, with {}\n", options.to, all.samples, all.outputs,
               subject.weights_file);
    return {};
  }
  fmt::print("{}", csv_of(all, kShown));
  if (all.samples > kShown) fmt::print("... {} samples in all; --to FILE.csv or FILE.npz has them\n", all.samples);
  return {};
}

// As it is drawn; of bytes that would move a terminal's cursor, question marks.
Status generate_for(const Options& options) {
  RUBATO_ASSIGN(const Subject subject, open(options));
  RUBATO_ASSIGN(const auto evaluator, Evaluator::open(subject));
  const auto show = [](char byte) {
    const bool control = static_cast<unsigned char>(byte) < 0x20 && byte != '\n' && byte != '\t';
    std::putchar(control || byte == 0x7F ? '?' : byte);
    std::fflush(stdout);
  };
  bool begun = false;
  RUBATO_TRY(generate(*evaluator, subject, options.text, [&](char byte) {
    if (!std::exchange(begun, true)) std::ranges::for_each(options.text.prompt, show);
    show(byte);
  }));
  std::putchar('\n');
  return {};
}

// What the launcher has done before it starts servers: they know no model, and read only numbers. A device that is not
// there ends here, once, and not in each worker.
Status begin(const std::string& run_dir, bool device_only) {
  RUBATO_ASSIGN(const Job job, load_job(run_dir + "/job.toml"));
  RUBATO_ASSIGN(const std::string remark, kernels::device_remark(worker::device_config(job)));
  if (!remark.empty()) fmt::print("{}\n", remark);
  RUBATO_TRY(kernels::open_update_device(job.server.device));
  if (device_only) return {};
  RUBATO_ASSIGN(const data::DatasetSize data, data::size_of_dataset(job, data::Split::kTrain));
  // A network that does not fit its data ends here, and groups that do not fit their network.
  if (job.model.name != "quadratic") RUBATO_TRY(describe_model(job, data));
  std::vector<data::DatasetSize> evaluated;
  if (job.worker.plan != WorkerConfig().plan) {
    RUBATO_ASSIGN(evaluated, worker::evaluated_parts(job));
  }
  RUBATO_ASSIGN(const std::string plan, worker::write_plan(job, {data, std::move(evaluated)}, run_dir));
  if (!plan.empty()) fmt::print("plan: {}\n", plan);
  if (job.model.pretrained.empty()) return {};
  RUBATO_ASSIGN(const std::vector<float> weights, pretrained_weights(job, data));
  return protocol::write_initial_weights(run_dir, job_hash(job), weights);
}

// What all of them take.
void add_subject(CLI::App& command, Options& options) {
  command
      .add_option("subject", options.subject,
                  "the folder of a run that has ended, or a safetensors file; of a run with "
                  "evaluation.holdout its best weights are taken, else its last")
      ->type_name("RUN|FILE")
      ->required();
  command.add_option("--job", options.job_file, "the job that says what network the file is of; an exported one knows")
      ->type_name("JOB.toml");
  command.add_option("--set", options.settings, "any key of the job, for instance worker.threads=2; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

void add_lengths(CLI::App& command, Options& options) {
  command.add_option("--lengths", options.data.lengths, "of npy: how long its sequences are")->type_name("FILE");
}

void add_data(CLI::App& command, Options& options) {
  command.add_option("--part", options.data.part, "of the job's data: train, validation or test")->type_name("PART");
  command.add_option("--data", options.data.inputs, "a file, or of CIFAR a folder, of the job's data.kind instead")
      ->type_name("FILE");
  command.add_option("--labels", options.data.labels, "of idx and npy: its labels")->type_name("FILE");
  add_lengths(command, options);
}

}  // namespace
}  // namespace rubato::exchange

int main(int argc, char** argv) {
  using namespace rubato;
  CLI::App app(
      "Weights outside a job: taken to PyTorch, evaluated, predicted with. scripts/rubato export, eval, predict and\n"
      "generate are this.");
  app.name("rubato-weights");
  app.require_subcommand(1);
  exchange::Options options;

  CLI::App* to_torch = app.add_subcommand(
      "export",
      "Writes the weights of a run as PyTorch names and lays them, for load_state_dict(strict=True).\n"
      "  scripts/rubato export runs/fashion_cnn-20250101-120000 --to cnn.safetensors\n"
      "  python3 -c 'from safetensors.torch import load_file; print(load_file(\"cnn.safetensors\").keys())'\n"
      "docs/models.md says which module they load into.");
  exchange::add_subject(*to_torch, options);
  to_torch->add_option("--to", options.to, "the file to write")->type_name("FILE")->required();

  CLI::App* eval = app.add_subcommand(
      "eval",
      "Says what a run's weights, or those of a file, come to on data: loss, accuracy, precision, recall, F1.\n"
      "  scripts/rubato eval runs/fashion_cnn-20250101-120000\n"
      "  scripts/rubato eval runs/fashion_cnn-20250101-120000 --part train\n"
      "  scripts/rubato eval cnn.safetensors --data t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz\n"
      "  scripts/rubato eval from_pytorch.safetensors --job jobs/fashion_cnn.toml --json");
  exchange::add_subject(*eval, options);
  exchange::add_data(*eval, options);
  eval->add_flag("--json", options.json, "as JSON, for programs");

  CLI::App* prediction = app.add_subcommand(
      "predict",
      "Predicts with a run's weights, or those of a file: the class of each sample and its scores, which are what the\n"
      "network gives before softmax or sigmoid; where numbers are predicted, those, in the units of the training "
      "data.\n"
      "  scripts/rubato predict runs/fashion_cnn-20250101-120000 --input images.npy --to predictions.csv\n"
      "  scripts/rubato predict cnn.safetensors --input t10k-images-idx3-ubyte.gz --to predictions.npz "
      "--probabilities\n"
      "  scripts/rubato predict runs/traffic-20250101-120000 --input last-week.csv --to forecast.csv\n"
      "  scripts/rubato predict runs/photos-20250101-120000 --input holiday/ --to what-is-on-them.csv\n"
      "Images come as idx or npy files, N x height x width (x channels), of the range of the training data's; of a job "
      "on\n"
      "folders of images as one, or a folder of them; a table as one with the same input columns, of a series its "
      "newest\n"
      "lines; a text as it is. Without --to the first ten are shown.");
  exchange::add_subject(*prediction, options);
  prediction->add_option("--input", options.input, "samples without labels")->type_name("FILE|FOLDER");
  exchange::add_lengths(*prediction, options);
  prediction->add_option("--part", options.data.part, "of the job's data instead: train, validation or test")
      ->type_name("PART");
  prediction->add_option("--to", options.to, "the file to write, .csv or .npz")->type_name("FILE");
  prediction->add_flag("--probabilities", options.probabilities, "scores after softmax, or sigmoid");

  CLI::App* generation = app.add_subcommand(
      "generate",
      "Shows how a gpt goes on with a text.\n"
      "  scripts/rubato generate runs/licences_gpt-20250101-120000 --prompt 'You may '\n"
      "  scripts/rubato generate gpt.safetensors --prompt 'The Licensor' --bytes 500 --temperature 0.5 --seed 3");
  exchange::add_subject(*generation, options);
  generation->add_option("--prompt", options.text.prompt, "what it goes on with")->type_name("TEXT")->required();
  generation->add_option("--bytes", options.text.bytes, "how many it writes")
      ->default_val(300)
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30));
  generation
      ->add_option("--temperature", options.text.temperature,
                   "1: as likely as it takes them to be; less: the likelier ones more often; 0: always the likeliest")
      ->default_val(1.0)
      ->check(CLI::Range(0.0, 100.0));
  generation->add_option("--seed", options.text.seed, "of what is drawn")->default_val(1);

  std::string run_dir;
  bool device_only = false;
  CLI::App* begin = app.add_subcommand(
      "begin",
      "Checks that the job's devices are there and that its network fits its data, and writes RUN/initial.weights, "
      "which\n"
      "servers read, from its model.pretrained, if it has one. scripts/rubato train does it by itself, where there is "
      "a\n"
      "file or a list of layers; where it is not used, between rubato-scheduler --resolve and the first server:\n"
      "  rubato-weights begin --run-dir runs/a");
  begin->add_option("--run-dir", run_dir, "with the resolved job.toml")->type_name("RUN")->required();
  begin->add_flag("--device-only", device_only, "looks for the devices, and says what \"auto\" comes to; no more");

  app.footer("exit codes: 0 ok, 2 usage or job file, 3 data or weights, 7 device, 8 storage");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    const auto commands = app.get_subcommands();
    const std::string command = commands.empty() ? "" : commands.front()->get_name() + " ";
    print_failure(fmt::format("{} (try rubato {}--help)", error.what(), command));
    return static_cast<int>(Cause::kUsage);
  }
  log::open("rubato-weights", "info");
  end_where_memory_ends();
  const Status status = to_torch->parsed()     ? exchange::export_to(options)
                        : begin->parsed()      ? exchange::begin(run_dir, device_only)
                        : eval->parsed()       ? exchange::evaluate(options)
                        : generation->parsed() ? exchange::generate_for(options)
                                               : exchange::predict_for(options);
  if (status.ok()) return 0;
  print_failure(status.error().message);
  return status.error().exit_code();
}
