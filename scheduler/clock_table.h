// The clocks of the active workers and their minimum.
//
// Invariants: a worker's clock never goes back; min() is over the workers that are in the table now.
// Cost: advance, jump and remove O(log N), min O(1). (A map from clock to the number of workers there; with
// N workers it has at most N entries, and in a bounded mode at most bound + 2.)
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <map>

#include "base/check.h"
#include "base/ids.h"

namespace rubato::scheduler {

class ClockTable {
 public:
  void add(std::uint32_t worker, Clock clock) {
    RUBATO_CHECK(clocks_.emplace(worker, clock).second, "worker-{} is in the table already", worker);
    ++count_at_[clock];
  }
  void remove(std::uint32_t worker) {
    const auto found = clocks_.find(worker);
    RUBATO_CHECK(found != clocks_.end(), "worker-{} is not in the table", worker);
    leave(found->second);
    clocks_.erase(found);
  }
  // From clock c to c + 1.
  void advance(std::uint32_t worker) { jump(worker, clock(worker) + 1); }
  // To this clock, which is no earlier.
  void jump(std::uint32_t worker, Clock to) {
    Clock& clock = at(worker);
    RUBATO_CHECK(to >= clock, "worker-{} would go back from {} to {}", worker, clock, to);
    leave(clock);
    ++count_at_[clock = to];
  }

  [[nodiscard]] bool contains(std::uint32_t worker) const { return clocks_.count(worker) != 0; }
  [[nodiscard]] Clock clock(std::uint32_t worker) const { return const_cast<ClockTable*>(this)->at(worker); }
  [[nodiscard]] bool empty() const { return clocks_.empty(); }
  [[nodiscard]] std::size_t size() const { return clocks_.size(); }
  [[nodiscard]] Clock min() const { return edge(count_at_.begin()); }
  [[nodiscard]] Clock max() const { return edge(count_at_.rbegin()); }
  [[nodiscard]] const std::map<std::uint32_t, Clock>& clocks() const { return clocks_; }

 private:
  template <typename Iterator>
  [[nodiscard]] Clock edge(const Iterator& entry) const {
    RUBATO_CHECK(!count_at_.empty(), "no active worker");
    return entry->first;
  }
  Clock& at(std::uint32_t worker) {
    const auto found = clocks_.find(worker);
    RUBATO_CHECK(found != clocks_.end(), "worker-{} is not in the table", worker);
    return found->second;
  }
  void leave(Clock clock) {
    const auto found = count_at_.find(clock);
    if (--found->second == 0) count_at_.erase(found);
  }

  std::map<std::uint32_t, Clock> clocks_;  // by rank, so that iteration is in rank order
  std::map<Clock, std::uint32_t> count_at_;
};

}  // namespace rubato::scheduler
