// The rules of a running job: which mode, and which learning rate, for which clocks (docs/protocol.md, rule 16).
//
// Rules follow each other in epochs. One holds for the clocks from its first to the next one's first, for all
// workers alike, so what a step is granted under follows from its clock alone. The book is itself a policy: a step
// may be granted where the rules of its clock allow it, and those of every clock that its worker takes on the way.
// The policies below it see every worker from the moment at which they are announced, and so know its pace
// before they are asked.
//
// Invariants: epochs go up by one; no two have the same first clock; the oldest one kept is in force, which is
// to say that the slowest worker stands in it.
// Cost: that of the policies, times the epochs kept: one, but while workers align.
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "scheduler/policy.h"

namespace rubato::scheduler {

struct Rules {
  std::uint32_t epoch = 1;
  Clock first = 0;  // they hold from this clock on
  Mode mode;
  double rate = 0.0;  // that the schedule scales (scheduler/learning_rate.h)
  TimeNs set_at = 0;
};

class RuleBook final : public Policy {
 public:
  // Announced, and not in force yet. One more is refused by whoever asks for it.
  static constexpr std::size_t kPendingMax = 8;

  RuleBook(const Mode& mode, double rate);

  void joined(std::uint32_t worker, Clock clock) override;
  void gone(std::uint32_t worker) override;
  void ticked(std::uint32_t worker, Clock clock, TimeNs now) override;
  [[nodiscard]] Clock highest_grant(std::uint32_t worker, Clock own, Clock min) const override;
  [[nodiscard]] std::int64_t bound(std::uint32_t worker, Clock step, Clock min) const override;

  // From clock `rules.first` on, of which nobody was granted a step, for `workers` and their clocks. `rules.epoch` is
  // newest().epoch + 1. Rules that were to begin at the same clock never will.
  void announce(const Rules& rules, const std::map<std::uint32_t, Clock>& workers);
  // The slowest worker stands at `min`: the next rules that came into force by that, if any did. To be asked
  // again until there are none.
  [[nodiscard]] const Rules* come_into_force(Clock min);

  [[nodiscard]] const Rules& in_force() const { return entries_.front().rules; }
  // What the next change is a change of.
  [[nodiscard]] const Rules& newest() const { return entries_.back().rules; }
  // Of this clock; of one that all have behind them, those in force.
  [[nodiscard]] const Rules& at(Clock clock) const { return entry_at(clock)->rules; }
  // How many are announced and not in force, and these, the next first.
  [[nodiscard]] std::size_t pending() const { return entries_.size() - 1; }
  [[nodiscard]] const Rules& pending(std::size_t i) const { return entries_[i + 1].rules; }

 private:
  struct Entry {
    Rules rules;
    std::shared_ptr<Policy> policy;  // shared by neighbours of one mode, which differ in their rate
  };
  using Entries = std::deque<Entry>;
  [[nodiscard]] Entries::const_iterator entry_at(Clock clock) const;
  template <typename F>
  void each_policy(F&& f);

  Entries entries_;
  std::uint32_t told_ = 1;  // newest epoch that was said to be in force
};

}  // namespace rubato::scheduler
