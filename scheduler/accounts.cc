#include "scheduler/accounts.h"

#include <algorithm>
#include <cmath>

namespace rubato::scheduler {

std::uint64_t AgeHistogram::quantile(double share) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
  std::uint64_t seen = 0;
  for (const auto& [age, count] : counts_) {
    seen += count;
    if (seen >= wanted) return age;
  }
  return 0;
}

double AgeHistogram::mean_factor() const {
  double sum = 0.0;
  for (const auto& [age, count] : counts_)
    sum += static_cast<double>(count) / static_cast<double>(std::max(age, std::uint64_t{1}));
  return total_ == 0 ? 1.0 : sum / static_cast<double>(total_);
}

void Account::settle(const protocol::Tick& tick, TimeNs now) {
  samples += tick.samples;
  steps += tick.samples > 0 ? 1 : 0;
  correct += tick.correct;
  loss_sum += tick.loss_sum;
  dropped_pushes += tick.dropped;
  for (const protocol::AgeCount& entry : tick.ages) {
    ages.add(entry.age, entry.count);
    pushes += entry.count;
  }
  if (first == 0) first = now;
  last = now;
}

void Throughput::add(std::uint64_t samples, TimeNs now) {
  buckets_[now / kBucket] += samples;
  buckets_.erase(buckets_.begin(), buckets_.lower_bound((now - kWindow) / kBucket));
}

double Throughput::per_second(TimeNs now) const {
  const auto first = buckets_.lower_bound((now - kWindow) / kBucket);
  if (first == buckets_.end()) return 0.0;
  std::uint64_t samples = 0;
  for (auto bucket = first; bucket != buckets_.end(); ++bucket) samples += bucket->second;
  return static_cast<double>(samples) / seconds(std::max(now - first->first * kBucket, kBucket));
}

}  // namespace rubato::scheduler
