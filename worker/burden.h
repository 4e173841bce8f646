// What a job does to a worker on purpose: makes its steps longer (worker.stragglers, debug.slow_worker_ms),
// spoils one of its gradients (debug.nonfinite_at). The same in real workers (worker/pace.h) and simulated
// ones.
//
// Thread-safety: immutable.
#pragma once

#include <cstdint>

#include "base/job.h"
#include "base/stragglers.h"
#include "worker/compute_port.h"

namespace rubato::worker {

class Burden {
 public:
  // `stragglers` are the job's.
  Burden(const Job& job, std::uint32_t rank, Stragglers stragglers);
  // Errors: kUsage and kData, those of Stragglers::open.
  [[nodiscard]] static Result<Burden> open(const Job& job, std::uint32_t rank);

  // Whether step_time() is ever another than usual.
  [[nodiscard]] bool slows() const { return !stragglers_.none() || delay_ > 0; }
  // Of the step of this clock, which takes the worker so long without a burden.
  [[nodiscard]] TimeNs step_time(TimeNs usual, Clock clock) const {
    return stragglers_.step_time(usual, rank_, clock) + delay_;
  }

  // Makes the gradient not finite, if it is the one that the job means.
  void spoil(SliceGradient& gradient) const;

 private:
  std::uint32_t rank_;
  Stragglers stragglers_;
  TimeNs delay_ = 0;
  Clock nonfinite_at_ = kNoClock;
};

}  // namespace rubato::worker
