// Who waited for whom, and for how long: what the `wait` lines and the matrix of metrics.jsonl are made of.
//
// A wait is the time in which a worker had nothing to compute until another one got on. Sums for every
// worker are always complete. Sums for every pair are complete for up to kPairsMax of them (256 workers
// that all wait for each other); what comes after that counts in the workers' sums alone.
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "base/time.h"

namespace rubato::scheduler {

class WaitLedger {
 public:
  static constexpr std::uint64_t kLinesMax = 4096;
  static constexpr std::uint64_t kPairsMax = 65536;

  struct Sums {
    TimeNs waited = 0, held_up = 0;  // for others; others for it
  };
  using Pair = std::pair<std::uint32_t, std::uint32_t>;  // who waited, for whom

  // `waiting` had nothing to compute from `from` to `to`, when `culprit` got there. Whether the wait gets a
  // line of its own: it took a millisecond or more, and is not one too many.
  bool add(std::uint32_t waiting, std::uint32_t culprit, TimeNs from, TimeNs to);

  [[nodiscard]] Sums of(std::uint32_t worker) const;
  [[nodiscard]] const std::map<Pair, TimeNs>& pairs() const { return pairs_; }
  // Of waits without a line.
  [[nodiscard]] std::uint64_t unlisted() const { return unlisted_; }
  [[nodiscard]] TimeNs unlisted_time() const { return unlisted_time_; }

 private:
  std::map<Pair, TimeNs> pairs_;
  std::map<std::uint32_t, Sums> sums_;
  std::uint64_t lines_ = 0, unlisted_ = 0;
  TimeNs unlisted_time_ = 0;
};

}  // namespace rubato::scheduler
