// Whether training goes on, by the evaluations on what is held out (evaluation.patience, evaluation.min_delta).
//
// An improvement is a figure that is better by more than min_delta than the last improvement, so that many small ones
// count once they add up. What is not finite is none. Which weights are best is another question: the least bit counts
// there (base/better.h).
//
// Invariants: once it has said stop, it says no more.
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <limits>

#include "base/job.h"

namespace rubato::scheduler {

class EarlyStopping {
 public:
  explicit EarlyStopping(const EvaluationConfig& config) : config_(config) {}

  // The next evaluation's figure. True: training ends, now.
  [[nodiscard]] bool observe(double figure);

 private:
  const EvaluationConfig config_;
  double reference_ = std::numeric_limits<double>::quiet_NaN();  // the last improvement; not finite: there was none
  std::int64_t without_ = 0;                                     // evaluations since
  bool stopped_ = false;
};

}  // namespace rubato::scheduler
