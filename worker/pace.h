// Stands between a real worker's trainer and its client: makes steps take as long as the worker's burden
// says, and notes how long each took.
//
// The reports of a step that is to take longer are held back until its time has come, gradients too: to
// everybody else it looks as if the worker were slow, however it sleeps meanwhile.
//
// Thread-safety: belongs to the compute thread, but for stop(), which any thread may call.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "worker/burden.h"
#include "worker/step_log.h"

namespace rubato::worker {

class Pace {
 public:
  using Report = std::function<void(ComputeReport)>;

  Pace(Burden burden, StepLog log, Report report)
      : burden_(std::move(burden)), log_(std::move(log)), report_(std::move(report)) {}

  // What the trainer reports.
  void pass(ComputeReport report);
  // The worker ends: nobody need sleep any more.
  void stop();

 private:
  void sleep(TimeNs time);

  const Burden burden_;
  StepLog log_;
  const Report report_;
  std::vector<ComputeReport> held_;

  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stopped_ = false;  // under mutex_
};

}  // namespace rubato::worker
