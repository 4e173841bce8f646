#include "exchange/evaluate.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "model/metrics.h"
#include "worker/step_runner.h"
#include "worker/trainer.h"

namespace rubato::exchange {

Evaluator::Weights::Weights(const Subject& subject) {
  std::span<const float> rest(subject.weights);
  for (const model::TorchTensor& tensor : subject.model.tensors) {
    const auto count = static_cast<std::size_t>(tensor.spec.elements());
    parameters_.push_back(rest.first(count));
    rest = rest.subspan(count);
  }
}

Result<std::unique_ptr<Evaluator>> Evaluator::open(const Subject& subject) {
  std::unique_ptr<Evaluator> evaluator(new Evaluator(subject));
  const Job& job = subject.job;
  RUBATO_ASSIGN(evaluator->device_, kernels::open_device(job.worker.device, static_cast<int>(job.worker.threads)));
  evaluator->device_->enter();
  RUBATO_ASSIGN(evaluator->model_,
                worker::Trainer::make_model(job, subject.data, *evaluator->device_, Role::kEvaluator));
  return evaluator;
}

Status Evaluator::check_shape(const data::Dataset& data) const {
  const auto text = [](const data::SampleShape& shape) {
    return fmt::format("{} x {} x {}", shape.height, shape.width, shape.channels);
  };
  if (data.shape() == subject_.data.shape) return {};
  return Error{Cause::kData,
               fmt::format("{} is of a model of samples of {} (height, width, channels), and these are {}",
                           subject_.weights_file, text(subject_.data.shape), text(data.shape()))};
}

Result<worker::Figures> Evaluator::figures_on(const data::Dataset& data) {
  RUBATO_TRY(check_shape(data));
  return worker::figures_on(*model_, data, subject_.job, weights_);
}

Result<model::Evaluation> Evaluator::run(const data::BatchBuffer& batch) {
  return model_->evaluate(worker::model_batch(batch, 0), weights_);
}

namespace {

Error not_that(const std::string& text) { return {Cause::kUsage, text}; }

Result<data::Split> split_of(const Job& job, const std::string& part) {
  if (part.empty()) return data::evaluated_split(job);
  if (part == "train") return data::Split::kTrain;
  if (part == "validation") return data::Split::kValidation;
  if (part == "test") return data::Split::kTest;
  return not_that(fmt::format("--part {}: there are train, validation and test", part));
}

// The job with other files for its test part.
Result<Job> with_files(Job job, const DataChoice& choice) {
  DataConfig& data = job.data;
  const bool pairs = data.kind == "idx" || data.kind == "npy", table = data.kind == "csv" || data.kind == "libsvm";
  if (pairs && choice.labels.empty())
    return not_that(fmt::format("--data {}: give --labels too: data.kind = \"{}\" has them in another file",
                                choice.inputs, data.kind));
  if (!pairs && !choice.labels.empty())
    return not_that(fmt::format("--labels is for idx and npy, and the job's data is {}", data.kind));
  if ((table && !data.path.empty()) || data.kind == "series")
    return not_that(
        "--data: the job splits one table and scales by its training part; use --part, or a job with "
        "data.train_inputs and data.test_inputs");
  if (pairs || table) {
    data.test_inputs = choice.inputs;
    data.test_labels = choice.labels;
  } else {
    data.path = choice.inputs;
  }
  return job;
}

}  // namespace

Result<ChosenData> open_data(const Job& job, const DataChoice& choice) {
  const bool files = !choice.inputs.empty();
  if (!files && !choice.labels.empty()) return not_that("--labels goes with --data");
  RUBATO_ASSIGN(const data::Split split, split_of(job, choice.part.empty() && files ? "test" : choice.part));
  Job chosen = job;
  if (files) {
    RUBATO_ASSIGN(chosen, with_files(job, choice));
  }
  const char* part = split == data::Split::kTrain        ? "training"
                     : split == data::Split::kValidation ? "validation"
                                                         : "test";
  ChosenData opened;
  RUBATO_ASSIGN(opened.data, data::open_dataset(chosen, split));
  opened.name = files ? choice.inputs : fmt::format("the {} part of the job's data", part);
  return opened;
}

std::string text_of(const worker::Figures& figures, const data::Dataset& data, const std::string& loss) {
  std::string text = fmt::format("samples   {}\nloss      {:.6g}\n", data.size(), figures.loss);
  if (loss == "mse") text += fmt::format("rmse      {:.6g}\n", std::sqrt(figures.loss));
  if (!figures.classes) return text;
  return text + fmt::format("accuracy  {:.2f}%\n\n", 100.0 * figures.classes->accuracy) +
         model::to_table(*figures.classes, data.class_names());
}

std::string json_of(const worker::Figures& figures, const data::Dataset& data, const std::string& loss) {
  nlohmann::ordered_json json{{"samples", data.size()}, {"loss", figures.loss}};
  if (loss == "mse") json["rmse"] = std::sqrt(figures.loss);
  if (figures.classes) {
    json["accuracy"] = figures.classes->accuracy;
    json["classes"] = model::to_json(*figures.classes);
  }
  return json.dump() + "\n";
}

}  // namespace rubato::exchange
