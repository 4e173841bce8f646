#include "scheduler/early_stopping.h"

#include "base/better.h"

namespace rubato::scheduler {

bool EarlyStopping::observe(double figure) {
  if (config_.patience == 0 || stopped_) return false;
  if (is_better(config_, figure, reference_, config_.min_delta)) {
    reference_ = figure;
    without_ = 0;
    return false;
  }
  stopped_ = ++without_ >= config_.patience;
  return stopped_;
}

}  // namespace rubato::scheduler
