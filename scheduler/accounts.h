// What was trained: samples, losses, ages, throughput, of the job and of each epoch; the figures of
// metrics.jsonl.
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <map>

#include "base/time.h"
#include "protocol/messages.h"

namespace rubato::scheduler {

// How often each age was seen.
class AgeHistogram {
 public:
  void add(std::uint64_t age, std::uint64_t count) {
    counts_[age] += count;
    total_ += count;
    sum_ += age * count;
  }
  [[nodiscard]] double mean() const {
    return total_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(total_);
  }
  // Of 1 / max(1, age): by what a rate over the age is the smaller for it. 1 without pushes.
  [[nodiscard]] double mean_factor() const;
  // The least age that at least `share` of all pushes do not exceed.
  [[nodiscard]] std::uint64_t quantile(double share) const;
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] const std::map<std::uint64_t, std::uint64_t>& counts() const { return counts_; }

 private:
  std::map<std::uint64_t, std::uint64_t> counts_;
  std::uint64_t total_ = 0, sum_ = 0;
};

struct Account {
  std::uint64_t samples = 0, pushes = 0, dropped_pushes = 0;
  std::uint64_t steps = 0;  // that had samples
  double loss_sum = 0.0, correct = 0.0;
  std::int64_t staleness_max = 0;
  AgeHistogram ages;
  TimeNs first = 0, last = 0;  // of the ticks in it

  void settle(const protocol::Tick& tick, TimeNs now);
  [[nodiscard]] double train_loss() const { return samples == 0 ? 0.0 : loss_sum / static_cast<double>(samples); }
  [[nodiscard]] double train_accuracy() const { return samples == 0 ? 0.0 : correct / static_cast<double>(samples); }
};

// Samples a second over the last few seconds.
class Throughput {
 public:
  void add(std::uint64_t samples, TimeNs now);
  [[nodiscard]] double per_second(TimeNs now) const;

 private:
  static constexpr TimeNs kWindow = 5 * kSecond;
  static constexpr TimeNs kBucket = kSecond / 4;
  std::map<TimeNs, std::uint64_t> buckets_;
};

}  // namespace rubato::scheduler
