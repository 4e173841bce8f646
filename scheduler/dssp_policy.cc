#include "scheduler/dssp_policy.h"

#include <algorithm>
#include <utility>

namespace rubato::scheduler {

std::int64_t steps_until_least_wait(TimeNs fast_ticked, TimeNs fast_interval, TimeNs slow_ticked, TimeNs slow_interval,
                                    std::int64_t most) {
  if (fast_interval <= 0 || slow_interval <= 0) return 0;
  std::int64_t best = 0;
  TimeNs least = kNever;
  for (std::int64_t steps = 0; steps <= most && least > 0; ++steps) {
    const TimeNs since = fast_ticked + steps * fast_interval - slow_ticked;
    const std::int64_t k = std::max<std::int64_t>(1, (since + slow_interval / 2) / slow_interval);
    const TimeNs apart = std::abs(since - k * slow_interval);
    if (apart >= least) continue;
    least = apart;
    best = steps;
  }
  return best;
}

void DsspPolicy::joined(std::uint32_t worker, Clock clock) {
  Pace& pace = paces_[worker];
  pace.clock = clock;
  places_.insert(place(worker, pace));
}

void DsspPolicy::gone(std::uint32_t worker) {
  const auto found = paces_.find(worker);
  places_.erase(place(worker, found->second));
  paces_.erase(found);
}

void DsspPolicy::ticked(std::uint32_t worker, Clock clock, TimeNs now) {
  Pace& pace = paces_.at(worker);
  places_.erase(place(worker, pace));
  if (std::exchange(pace.has_ticked, true)) pace.interval = std::max<TimeNs>(now - pace.ticked, 1);
  pace.ticked = now;
  pace.clock = clock + 1;
  places_.insert(place(worker, pace));

  const Place& slowest = *places_.begin();
  const Clock min = slowest.clock;
  const bool fastest = pace.clock == places_.rbegin()->clock;
  if (!fastest || pace.clock <= std::max(min + low_, pace.credit_to)) return;
  const Pace& slow = paces_.at(slowest.worker);
  // The steps pace.clock, ... pace.clock + credit - 1, none of them beyond min + high.
  const std::int64_t most = std::min(high_ - low_, min + high_ - pace.clock + 1);
  const std::int64_t credit = steps_until_least_wait(pace.ticked, pace.interval, slow.ticked, slow.interval, most);
  if (credit <= 0) return;
  pace.credit_to = pace.clock + credit - 1;
  pace.credit_bound = pace.credit_to - min;
}

Clock DsspPolicy::highest_grant(std::uint32_t worker, Clock own, Clock min) const {
  return std::min(std::max(min + low_, paces_.at(worker).credit_to), own + kGrantAhead);
}

std::int64_t DsspPolicy::bound(std::uint32_t worker, Clock step, Clock min) const {
  return step - min <= low_ ? low_ : paces_.at(worker).credit_bound;
}

}  // namespace rubato::scheduler
