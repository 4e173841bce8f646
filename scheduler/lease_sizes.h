// How many samples a worker's leases have in a bounded mode: so many that all workers take equally long for a step.
// Otherwise the slowest would hold the others at the bound, and all would go at its pace however little of the data
// it takes (docs/protocol.md, rule 12).
//
//   v_w = samples a second that worker w computes: 1 / v_w is the exponentially weighted mean of its steps' time for
//         a sample (without waiting and settling), the newest counting a fifth
//   n_w = train.batch * v_w / mean of v over the workers whose v is known
//
// So N workers still take N * train.batch samples while each takes a step. Where a part of the time of a step is
// fixed, v depends on n; the steps even out then all the same, and n_w comes to rest where they do.
//
// n_w is train.batch at first; in [1, kLeaseBatchesMax * train.batch]; a step moves it by a quarter at most, so that
// one slow step is no slow worker; and it is rounded to a sixteenth of train.batch, where that is more than one
// sample, since workers plan their computing anew for every size.
//
// Cost: O(log N) a step. Thread-safety: one owner. Pure: a function of the calls made.
#pragma once

#include <cstdint>
#include <map>

#include "base/time.h"

namespace rubato::scheduler {

class LeaseSizes {
 public:
  explicit LeaseSizes(std::int64_t batch) : batch_(static_cast<double>(batch)) {}

  void joined(std::uint32_t worker) { paces_[worker].size = batch_; }
  void gone(std::uint32_t worker);
  // It has computed a step.
  void computed(std::uint32_t worker, std::uint64_t samples, TimeNs time);

  // Of its next lease.
  [[nodiscard]] std::uint64_t size(std::uint32_t worker) const;

 private:
  struct Pace {
    double size = 0.0;
    double sample_ns = 0.0;  // 0: not known
    [[nodiscard]] double speed() const { return sample_ns > 0.0 ? 1.0 / sample_ns : 0.0; }
  };

  const double batch_;
  std::map<std::uint32_t, Pace> paces_;
  double speeds_ = 0.0;      // the sum of those known ...
  std::uint64_t known_ = 0;  // ... and how many those are
};

}  // namespace rubato::scheduler
