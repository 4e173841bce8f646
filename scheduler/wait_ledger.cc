#include "scheduler/wait_ledger.h"

namespace rubato::scheduler {

bool WaitLedger::add(std::uint32_t waiting, std::uint32_t culprit, TimeNs from, TimeNs to) {
  if (waiting == culprit || to <= from) return false;
  const TimeNs time = to - from;
  sums_[waiting].waited += time;
  sums_[culprit].held_up += time;
  const Pair pair{waiting, culprit};
  if (const auto known = pairs_.find(pair); known != pairs_.end())
    known->second += time;
  else if (pairs_.size() < kPairsMax)
    pairs_.emplace(pair, time);
  if (time >= kMillisecond && lines_ < kLinesMax) {
    ++lines_;
    return true;
  }
  ++unlisted_;
  unlisted_time_ += time;
  return false;
}

WaitLedger::Sums WaitLedger::of(std::uint32_t worker) const {
  const auto found = sums_.find(worker);
  return found == sums_.end() ? Sums{} : found->second;
}

}  // namespace rubato::scheduler
