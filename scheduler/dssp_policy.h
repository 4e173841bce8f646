// A bound that moves: Zhao, An, Liu, Chen, "Dynamic Stale Synchronous Parallel Distributed Training for
// Deep Learning", ICDCS 2019, algorithms 1 and 2.
//
// Up to the lower bound it is ssp. When the fastest worker would have to wait there, at time A_p, its pace
// I_p and that of the slowest worker (A_s, I_s: time of and between its last two ticks) say when it is best
// to wait: after so many more steps that it then waits least for one of the slowest worker's,
//
//   r* = argmin over 0 <= r <= HI - LO and k >= 1 of | (A_p + r I_p) - (A_s + k I_s) |,
//
// the least r of several. Those r* steps are its credit. Credit is given as an absolute clock and never
// taken back; the bound of a step granted on credit is the distance that the credit allowed when it was
// given. No step is ever more than HI ahead.
//
// Cost: O(log N + HI - LO) a tick. Thread-safety: one owner.
#pragma once

#include <map>
#include <set>

#include "scheduler/policy.h"

namespace rubato::scheduler {

class DsspPolicy final : public Policy {
 public:
  DsspPolicy(std::int64_t low, std::int64_t high) : low_(low), high_(high) {}

  void joined(std::uint32_t worker, Clock clock) override;
  void gone(std::uint32_t worker) override;
  void ticked(std::uint32_t worker, Clock clock, TimeNs now) override;
  [[nodiscard]] Clock highest_grant(std::uint32_t worker, Clock own, Clock min) const override;
  [[nodiscard]] std::int64_t bound(std::uint32_t worker, Clock step, Clock min) const override;

 private:
  struct Pace {
    Clock clock = 0;
    TimeNs ticked = 0;
    TimeNs interval = 0;  // between the last two ticks; 0: there were no two
    bool has_ticked = false;
    Clock credit_to = kNoClock;
    std::int64_t credit_bound = 0;
    [[nodiscard]] TimeNs next_tick() const { return interval > 0 ? ticked + interval : kNever; }
  };
  // The slowest first; of several, the one that will take longest.
  struct Place {
    Clock clock;
    TimeNs next_tick;
    std::uint32_t worker;
    friend bool operator<(const Place& a, const Place& b) {
      if (a.clock != b.clock) return a.clock < b.clock;
      return a.next_tick != b.next_tick ? a.next_tick > b.next_tick : a.worker < b.worker;
    }
  };
  static Place place(std::uint32_t worker, const Pace& pace) { return {pace.clock, pace.next_tick(), worker}; }

  const std::int64_t low_, high_;
  std::map<std::uint32_t, Pace> paces_;
  std::set<Place> places_;
};

// The formula above, with at most `most` steps. 0 where a pace is not known.
[[nodiscard]] std::int64_t steps_until_least_wait(TimeNs fast_ticked, TimeNs fast_interval, TimeNs slow_ticked,
                                                  TimeNs slow_interval, std::int64_t most);

}  // namespace rubato::scheduler
