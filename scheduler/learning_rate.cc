#include "scheduler/learning_rate.h"

#include <algorithm>
#include <cmath>

#include "base/pretraining.h"

namespace rubato::scheduler {

LearningRate::LearningRate(const ScheduleConfig& schedule, std::uint64_t epoch_samples, std::uint64_t total_samples,
                           std::uint64_t batch, Before before)
    : schedule_(schedule),
      before_(before),
      epoch_samples_(static_cast<double>(std::max<std::uint64_t>(epoch_samples, 1))),
      total_samples_(static_cast<double>(std::max(total_samples, before.samples + 1) - before.samples)),
      batch_(static_cast<double>(batch)) {}

LearningRate::Before LearningRate::before(const Job& job, std::uint64_t epoch_samples) {
  const OptimizerConfig& optimizer = job.optimizer;
  return {pretraining_epochs(job.model) * epoch_samples,
          optimizer.pretrain_rate > 0.0 ? optimizer.pretrain_rate / optimizer.rate : 1.0};
}

double LearningRate::at(std::uint64_t samples_settled, double base) const {
  if (samples_settled < before_.samples) return base * before_.factor;
  const double samples = static_cast<double>(samples_settled - before_.samples);
  const double epochs = samples / epoch_samples_;
  double rate = base;
  if (schedule_.name == "step") {
    rate *= std::pow(schedule_.step_factor, std::floor(epochs / schedule_.step_epochs));
  } else if (schedule_.name == "cosine") {
    const double progress = std::min(1.0, samples / total_samples_);
    const double f = schedule_.final_fraction;
    rate *= f + (1.0 - f) * (1.0 + std::cos(3.141592653589793 * progress)) / 2.0;
  }
  if (schedule_.warmup_epochs > 0.0) {
    const double warm = (samples + batch_) / (schedule_.warmup_epochs * epoch_samples_);
    rate *= std::min(1.0, warm);
  }
  return rate;
}

}  // namespace rubato::scheduler
