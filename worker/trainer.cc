#include "worker/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>

#include "base/better.h"
#include "base/counted.h"
#include "base/log.h"
#include "base/out_of_memory.h"
#include "base/partition.h"
#include "base/pretraining.h"
#include "base/processor.h"
#include "base/time.h"
#include "data/holdout.h"
#include "data/labelled_samples.h"
#include "worker/class_weights.h"
#include "worker/evaluation.h"
#include "worker/job_plan.h"
#include "worker/micro_batches.h"

namespace rubato::worker {
namespace {

// What takes no longer was there already, and was not waited for.
constexpr TimeNs kNoWait = 5 * kMicrosecond;

// Nothing to compute: on the timeline of the step that is waited for.
std::optional<ComputeOrder> wait_for_order(const Trainer::NextOrder& next_order, timeline::Lane* lane) {
  if (lane == nullptr) return next_order();
  timeline::Span span{.begin = steady_now(), .what = "wait"};
  std::optional<ComputeOrder> order = next_order();
  span.end = steady_now();
  if (const auto* step = order ? std::get_if<ComputeStep>(&*order) : nullptr) {
    span.clock = step->step.clock;
    span.of = "grant";
  } else if (const auto* weights = order ? std::get_if<SliceWeights>(&*order) : nullptr) {
    span.clock = weights->clock;
    span.slice = weights->slice;
    span.of = "weights";
  }
  if (span.end - span.begin > kNoWait) lane->add(span);
  return order;
}

// The same without samples whose labels are ignored.
Result<Trainer::Datasets> labelled(Trainer::Datasets all, const Job& job) {
  const std::pair<std::shared_ptr<const data::Dataset>&, const char*> parts[] = {
      {all.train, data::name_of(data::Split::kTrain)},
      {all.held_out, "held out"},
      {all.test, data::name_of(data::evaluated_split(job))}};
  for (const auto& [part, name] : parts) {
    if (part == nullptr) continue;
    RUBATO_ASSIGN(part, data::labelled_samples(std::move(part), name));
  }
  return all;
}

std::string answers_text(const data::Dataset& part) {
  return part.target_floats() == 0 ? "classes" : counted(static_cast<std::uint64_t>(part.target_floats()), "number");
}

// A file has the samples of one part alone, so that no reader sees both.
Status check_alike(const data::Dataset& train, const data::Dataset& test, const Job& job) {
  const DataConfig& data = job.data;
  const auto differ = [&](const std::string& file, const std::string& expected, const std::string& found) {
    return Error{Cause::kData, fmt::format("{}: expected {} in the {} part, as those for training are, found {}",
                                           file.empty() ? data.path : file, expected,
                                           data::name_of(data::evaluated_split(job)), found)};
  };
  if (test.shape() != train.shape())
    return differ(data.test_inputs, fmt::format("samples of {} (height, width, channels)", text_of(train.shape())),
                  text_of(test.shape()));
  if (test.target_floats() != train.target_floats())
    return differ(data.test_labels, fmt::format("labels that are {}", answers_text(train)), answers_text(test));
  return {};
}

}  // namespace

Trainer::~Trainer() = default;

Result<Trainer::Datasets> Trainer::open_datasets(const Job& job, Role role) {
  Datasets datasets;
  if (role != Role::kEvaluator || !job.evaluation.enabled) {
    RUBATO_ASSIGN(datasets.train, data::open_dataset(job, data::Split::kTrain));
    return labelled(std::move(datasets), job);
  }
  RUBATO_ASSIGN(data::TrainingParts training, data::open_training_parts(job));
  datasets.train = std::move(training.train);
  datasets.held_out = std::move(training.held_out);
  RUBATO_ASSIGN(datasets.test, data::open_dataset(job, data::evaluated_split(job)));
  RUBATO_TRY(check_alike(*datasets.train, *datasets.test, job));
  RUBATO_ASSIGN(datasets, labelled(std::move(datasets), job));
  for (const std::string& warning :
       {datasets.held_out != nullptr ? data::holdout_warning(job, datasets.held_out->size()) : "",
        data::evaluated_warning(job, datasets.test->size())})
    if (!warning.empty()) log::warn("{}", warning);
  return datasets;
}

Result<std::unique_ptr<Trainer>> Trainer::open(const Job& job, NodeId self, const std::string& run_dir) {
  RUBATO_ASSIGN(Datasets datasets, open_datasets(job, self.role));
  return open(job, self, run_dir, std::move(datasets));
}

Result<std::unique_ptr<Trainer>> Trainer::open(const Job& job, NodeId self, const std::string& run_dir,
                                               Datasets datasets) {
  std::unique_ptr<Trainer> trainer(new Trainer(job, run_dir, std::move(datasets)));
  RUBATO_ASSIGN(trainer->device_, open_job_device(job, run_dir));
  const data::Dataset& train = *trainer->data_.train;
  Job weighted = job;
  RUBATO_ASSIGN(weighted.model.class_weights, weights_of_classes(job, train));
  RUBATO_ASSIGN(trainer->model_, make_model(weighted, trainer->data_size(), *trainer->device_, self.role));
  // Before anybody waits for it: what is sure to be wanted.
  if (self.role == Role::kWorker && trainer->held_bytes() > address_limit_bytes()) return trainer->no_memory();
  trainer->loader_ = std::make_unique<data::Loader>(train, data::EpochOrder::Kind::kShuffled, job.train.seed);
  // What the first step would plan, before anybody waits for that.
  if (self.role == Role::kWorker && !is_leased(job)) RUBATO_TRY(trainer->model_->memory_for(computed_max(job), true));
  return trainer;
}

std::int64_t Trainer::computed_max(const Job& job) {
  const std::uint64_t micro_max = micro_batch_max(job);
  if (micro_max > 0) return std::min(static_cast<std::int64_t>(micro_max), leaf_max(job));
  return leaf_max(job);
}

std::int64_t Trainer::leaf_max(const Job& job) {
  if (is_leased(job)) return kLeaseBatchesMax * job.train.batch;
  const bool aggregate = parse_mode(job.consistency.mode).value().apply() == Mode::Apply::kAggregate;
  const auto batch = static_cast<std::uint64_t>(job.train.batch);
  return static_cast<std::int64_t>(
      share(batch, aggregate ? static_cast<std::uint64_t>(job.train.micro_batches) : 1, 0).count);
}

Trainer::ModelInput Trainer::model_input(const Job& job, const data::DatasetSize& data) {
  // Samples without an input are points: what the model reads is their target.
  data::SampleShape shape = data.shape;
  const bool has_input = shape.floats() > 0;
  if (!has_input) shape = {1, 1, data.target_floats};
  // Where numbers are to be predicted, there is an output for each of them, and no class.
  const std::int64_t outputs = has_input && data.target_floats > 0 ? data.target_floats : job.data.classes;
  const std::int64_t labels = job.data.kind == "text" ? shape.height : 1;  // the byte behind each
  return {{shape.height, shape.width, shape.channels, labels, data.lengths}, outputs};
}

Result<std::unique_ptr<model::Model>> Trainer::make_model(const Job& job, const data::DatasetSize& data,
                                                          kernels::Device& device, Role role) {
  const ModelInput input = model_input(job, data);
  return model::make_model(job.model, input.shape, input.classes, device,
                           role == Role::kEvaluator ? job.evaluation.batch : computed_max(job), job.train.seed,
                           job.optimizer.groups);
}

protocol::Manifest Trainer::manifest() const {
  const auto parameters = model_->parameters();
  return {parameters.begin(), parameters.end()};
}

void Trainer::set_routing(const protocol::RoutingTable& routing, const std::shared_ptr<Memory>& memory) {
  routing_ = routing;
  layout_.emplace(manifest(), routing);
  table_.emplace(*layout_, device_.get());
  runner_ = std::make_unique<StepRunner>(job_, *model_, *loader_, *layout_, memory, device_.get());
  runner_->draw(lane_);
  model_->draw(lane_);
  if (parse_mode(job_.consistency.mode).value().local())
    local_ = std::make_unique<LocalRunner>(job_, *runner_, *layout_, manifest(), routing, memory, device_.get());
}

std::optional<ComputeOrder> Trainer::take_order() {
  if (put_aside_.empty()) return wait_for_order(*next_order_, lane_);
  return put_aside_.pop_front();
}

void Trainer::take_weights(const SliceWeights& weights) {
  const TimeNs began = lane_ != nullptr ? steady_now() : 0;
  table_->take(weights);
  if (lane_ != nullptr)
    lane_->add({.begin = began, .end = steady_now(), .clock = weights.clock, .what = "copy", .slice = weights.slice});
}

void Trainer::run(const NextOrder& next_order, const Report& report, WorkerState& kept) {
  next_order_ = &next_order;
  device_->enter();
  while (std::optional<ComputeOrder> order = take_order()) {
    if (const auto* weights = std::get_if<SliceWeights>(&*order)) {
      take_weights(*weights);
    } else if (const auto* step = std::get_if<ComputeStep>(&*order)) {
      Result<StepComputed> computed = try_step(*step, report, kept);
      if (computed.ok())
        report(*computed);
      else if (computed.error().cause == Cause::kInterrupted)
        break;
      else
        report(ComputeFailed{computed.error()});
    } else if (const auto* evaluation = std::get_if<EvaluateWeights>(&*order)) {
      Result<protocol::EvaluationDone> done = evaluate(*evaluation);
      if (done.ok())
        report(Evaluated{*done});
      else
        report(ComputeFailed{done.error()});
    } else {
      break;
    }
  }
  next_order_ = nullptr;
}

// Of weights and a gradient.
std::uint64_t Trainer::held_bytes() const {
  std::uint64_t bytes = 0;
  for (const ParameterSpec& parameter : model_->parameters())
    bytes += static_cast<std::uint64_t>(parameter.elements()) * sizeof(float);
  return 2 * bytes;
}

Error Trainer::no_memory() const {
  return out_of_memory(held_bytes(), "the weights and a gradient",
                       "use a smaller model, or fewer workers on this machine");
}

// Where gradients lie is allocated in the first steps.
Result<StepComputed> Trainer::try_step(const ComputeStep& order, const Report& report, WorkerState& kept) {
  try {
    return run_step(order, report, kept);
  } catch (const std::bad_alloc&) {
    report_ = nullptr;
    return no_memory();
  }
}

Result<StepComputed> Trainer::run_step(const ComputeStep& order, const Report& report, WorkerState& kept) {
  clock_ = order.step.clock;
  blocked_ns_ = 0;
  if (lane_ != nullptr) lane_->begin_step(clock_);
  const timeline::Scope drawn(lane_, "step");
  const TimeNs began = shown_ = steady_now();
  report_ = &report;
  Result<StepComputed> done =
      local_ ? local_->run(order, *this, *table_, kept, report) : runner_->run(order, *this, report, &kept.chains);
  report_ = nullptr;
  RUBATO_ASSIGN(StepComputed computed, std::move(done));
  computed.blocked_ns = blocked_ns_;
  computed.compute_ns = static_cast<std::uint64_t>(steady_now() - began) - blocked_ns_;
  return computed;
}

// Before the first gradient there is nothing else to be seen of a step: forward asks for weights, layer after layer.
void Trainer::show_life() {
  constexpr TimeNs kOften = kSecond;
  if (report_ == nullptr || steady_now() - shown_ < kOften) return;
  shown_ = steady_now();
  (*report_)(StillComputing{});
}

// Waits until the parameter is there for the step at hand. What else comes meanwhile is put aside.
std::span<const float> Trainer::weights(std::size_t parameter) {
  while (!table_->has(parameter, clock_)) {
    const TimeNs began = steady_now();
    std::optional<ComputeOrder> order = wait_for_order(*next_order_, lane_);
    blocked_ns_ += static_cast<std::uint64_t>(steady_now() - began);
    if (!order || std::holds_alternative<StopComputing>(*order)) return {};  // the step, and run(), end
    if (const auto* slice = std::get_if<SliceWeights>(&*order))
      take_weights(*slice);
    else
      put_aside_.push_back(std::move(*order));
  }
  show_life();
  return table_->parameter(parameter);
}

Result<protocol::EvaluationDone> Trainer::evaluate(const EvaluateWeights& order) {
  take_all(order.order.clock, order.slices);
  protocol::EvaluationDone done;
  done.snapshot = order.order.snapshot;
  // Before the evaluation: the weights are there, whatever becomes of that.
  if (order.order.final) {
    RUBATO_ASSIGN(done.weights_sha256,
                  write_weights(manifest(), *table_, data_size(), data_.train->fitted(), in_run(kFinalWeights)));
  }
  model_->evaluate_as_of(order.order.epoch);
  if (const data::Dataset* data = data_.held_out ? data_.held_out.get() : data_.test.get()) {
    RUBATO_ASSIGN(done.figures, evaluate_on(*model_, *data, job_, *this, run_dir_, evaluated_));
  }
  if (data_.held_out) RUBATO_TRY(keep_or_test(order, done));
  return done;
}

// Keeps the weights at hand if none were better, and of the final ones says what those come to that count. What a
// machine of a dbn makes of its inputs says nothing of labels, and is no better than anything.
Status Trainer::keep_or_test(const EvaluateWeights& order, protocol::EvaluationDone& done) {
  const EvaluationConfig& evaluation = job_.evaluation;
  const double figure = figure_of(evaluation, done.figures.loss, done.figures.accuracy);
  done.best = !machine_of(job_.model, order.order.epoch) && is_better(evaluation, figure, order.order.to_beat);
  if (done.best) {
    RUBATO_ASSIGN(done.best_sha256,
                  write_weights(manifest(), *table_, data_size(), data_.train->fitted(), in_run(kBestWeights)));
  }
  if (!order.order.final) return {};
  if (!done.best && std::isfinite(order.order.to_beat)) {
    RUBATO_ASSIGN(ReadWeights best, read_weights(manifest(), routing_, in_run(kBestWeights)));
    take_all(order.order.clock, best.slices);
    done.best_sha256 = std::move(best.sha256);
  }
  RUBATO_ASSIGN(done.test, evaluate_on(*model_, *data_.test, job_, *this, run_dir_, evaluated_));
  return {};
}

void Trainer::take_all(Clock clock, const std::vector<Payload>& slices) {
  for (SliceId slice = 0; slice < slices.size(); ++slice) table_->take({clock, slice, 0, slices[slice]});
  clock_ = clock;
}

}  // namespace rubato::worker
