// The learning-rate schedule: a pure function of the samples that the whole job has settled, so that it
// does not depend on who computed them or how fast (docs/protocol.md, rule 13).
//
// With e = samples / samples of an epoch, and r the rate of the rules in force (scheduler/rule_book.h), at first
// optimizer.rate:
//   constant  r
//   step      r * step_factor ^ floor(e / step_epochs)
//   cosine    r * (f + (1 - f) * (1 + cos(pi * samples / total)) / 2)   (Loshchilov and Hutter,
//             "SGDR", ICLR 2017, equation 5, without restarts; f = final_fraction)
// each times min(1, e / warmup_epochs), the first step of a warm-up counting its samples
// (Goyal et al. 2017, section 2.2), so that no update has a rate of 0.
//
// Before a schedule begins there may be epochs of another kind (base/pretraining.h), with a constant rate of
// r * optimizer.pretrain_rate / optimizer.rate. Its samples, and its total, are counted from their end.
//
// Thread-safety: immutable.
#pragma once

#include <cstdint>

#include "base/job.h"

namespace rubato::scheduler {

class LearningRate {
 public:
  // What is there before the schedule.
  struct Before {
    std::uint64_t samples = 0;
    double factor = 1.0;  // of r
  };
  // Of a job whose epochs have so many samples.
  [[nodiscard]] static Before before(const Job& job, std::uint64_t epoch_samples);

  // Samples of an epoch, of the whole job, and of one clock.
  LearningRate(const ScheduleConfig& schedule, std::uint64_t epoch_samples, std::uint64_t total_samples,
               std::uint64_t batch, Before before);
  LearningRate(const ScheduleConfig& schedule, std::uint64_t epoch_samples, std::uint64_t total_samples,
               std::uint64_t batch)
      : LearningRate(schedule, epoch_samples, total_samples, batch, Before()) {}

  // `base` is r.
  [[nodiscard]] double at(std::uint64_t samples_settled, double base) const;

 private:
  ScheduleConfig schedule_;
  Before before_;
  double epoch_samples_, total_samples_, batch_;
};

}  // namespace rubato::scheduler
