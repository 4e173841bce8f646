#include "scheduler/rule_book.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace rubato::scheduler {

RuleBook::RuleBook(const Mode& mode, double rate) { entries_.push_back({{1, 0, mode, rate, 0}, make_policy(mode)}); }

template <typename F>
void RuleBook::each_policy(F&& f) {
  const Policy* last = nullptr;
  for (const Entry& entry : entries_)
    if (entry.policy.get() != std::exchange(last, entry.policy.get())) f(*entry.policy);
}

void RuleBook::joined(std::uint32_t worker, Clock clock) {
  each_policy([&](Policy& policy) { policy.joined(worker, clock); });
}

void RuleBook::gone(std::uint32_t worker) {
  each_policy([&](Policy& policy) { policy.gone(worker); });
}

void RuleBook::ticked(std::uint32_t worker, Clock clock, TimeNs now) {
  each_policy([&](Policy& policy) { policy.ticked(worker, clock, now); });
}

RuleBook::Entries::const_iterator RuleBook::entry_at(Clock clock) const {
  const auto later =
      std::ranges::upper_bound(entries_, clock, {}, [](const Entry& entry) { return entry.rules.first; });
  return later == entries_.begin() ? later : std::prev(later);
}

Clock RuleBook::highest_grant(std::uint32_t worker, Clock own, Clock min) const {
  Clock highest = own - 1;
  for (auto entry = entry_at(own); entry != entries_.end(); ++entry) {
    highest = std::max(highest, entry->policy->highest_grant(worker, own, min));
    const auto next = std::next(entry);
    if (next == entries_.end() || highest + 1 < next->rules.first) break;
    highest = next->rules.first - 1;  // further on it is for the next rules to say
  }
  return highest;
}

std::int64_t RuleBook::bound(std::uint32_t worker, Clock step, Clock min) const {
  return entry_at(step)->policy->bound(worker, step, min);
}

void RuleBook::announce(const Rules& rules, const std::map<std::uint32_t, Clock>& workers) {
  RUBATO_CHECK(rules.epoch == newest().epoch + 1 && rules.first >= newest().first,
               "rules {} from clock {} on, behind rules {} from {} on", rules.epoch, rules.first, newest().epoch,
               newest().first);
  if (rules.first == newest().first) entries_.pop_back();
  std::shared_ptr<Policy> policy;
  if (!entries_.empty() && entries_.back().rules.mode == rules.mode) {
    policy = entries_.back().policy;
  } else {
    policy = make_policy(rules.mode);
    for (const auto& [worker, clock] : workers) policy->joined(worker, clock);
  }
  entries_.push_back({rules, std::move(policy)});
}

const Rules* RuleBook::come_into_force(Clock min) {
  if (in_force().epoch == told_) {
    if (entries_.size() < 2 || entries_[1].rules.first > min) return nullptr;
    entries_.pop_front();
  }
  told_ = in_force().epoch;
  return &in_force();
}

}  // namespace rubato::scheduler
