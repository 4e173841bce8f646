#include "exchange/evaluate.h"

#include <fmt/format.h>

#include <utility>

#include "worker/job_plan.h"
#include "worker/step_runner.h"
#include "worker/trainer.h"

namespace rubato::exchange {

Result<std::unique_ptr<Evaluator>> Evaluator::open(const Subject& subject) {
  std::unique_ptr<Evaluator> evaluator(new Evaluator(subject));
  const Job& job = subject.job;
  RUBATO_ASSIGN(evaluator->device_, kernels::open_device(worker::device_config(job)));
  evaluator->device_->enter();
  RUBATO_ASSIGN(evaluator->model_,
                worker::Trainer::make_model(job, subject.data, *evaluator->device_, Role::kEvaluator));
  return evaluator;
}

Status Evaluator::check_shape(const data::Dataset& data) const {
  if (subject_.data.lengths && !data.has_lengths())
    return Error{Cause::kData,
                 fmt::format("{} is of a model of sequences of different lengths, and these samples have none: give "
                             "data.test_lengths, --lengths, or test_lengths in an npz archive",
                             subject_.weights_file)};
  if (data.shape() == subject_.data.shape) return {};
  return Error{Cause::kData,
               fmt::format("{} is of a model of samples of {} (height, width, channels), and these are {}",
                           subject_.weights_file, text_of(subject_.data.shape), text_of(data.shape()))};
}

Result<worker::Figures> Evaluator::figures_on(const data::Dataset& data) {
  RUBATO_TRY(check_shape(data));
  data::BatchBuffer buffer;
  return worker::figures_on(*model_, data, subject_.job, weights_, buffer);
}

Result<model::Evaluation> Evaluator::run(const data::BatchBuffer& batch) {
  return model_->evaluate(worker::model_batch(batch, 0), weights_);
}

}  // namespace rubato::exchange
