// Which of two evaluations is better, by evaluation.metric.
//
// Thread-safety: pure functions.
#pragma once

#include <cmath>

#include "base/job.h"

namespace rubato {

[[nodiscard]] inline double figure_of(const EvaluationConfig& config, double loss, double accuracy) {
  return config.metric == "accuracy" ? accuracy : loss;
}

// By more than `by`. What is not finite is never better, and anything that is finite is better than it.
[[nodiscard]] inline bool is_better(const EvaluationConfig& config, double figure, double than, double by = 0.0) {
  if (!std::isfinite(figure)) return false;
  if (!std::isfinite(than)) return true;
  return (config.metric == "accuracy" ? figure - than : than - figure) > by;
}

}  // namespace rubato
