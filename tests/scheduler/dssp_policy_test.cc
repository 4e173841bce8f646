// dssp: its formula against every pair tried by hand, and the policy over the whole of a small space of
// orders and of paces: three workers, a few clocks, every order in which they can tick and one can go.
#include "scheduler/dssp_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace rubato::scheduler {
namespace {

// ---- the formula ------------------------------------------------------------------------------------

// Algorithm 2 as the paper writes it: simulate both, compare every pair.
std::int64_t by_hand(TimeNs fast_ticked, TimeNs fast_interval, TimeNs slow_ticked, TimeNs slow_interval,
                     std::int64_t most) {
  std::int64_t best = 0;
  TimeNs least = kNever;
  for (std::int64_t r = 0; r <= most; ++r) {
    for (std::int64_t k = 1; k <= 1000; ++k) {
      const TimeNs apart = std::abs((fast_ticked + r * fast_interval) - (slow_ticked + k * slow_interval));
      if (apart < least) least = apart, best = r;
    }
  }
  return best;
}

TEST(Dssp, FormulaIsThePapersForEverySmallPace) {
  for (TimeNs fast_ticked : {100, 103, 111})
    for (TimeNs slow_ticked : {60, 80, 100, 103})
      for (TimeNs fast_interval : {1, 3, 7, 20})
        for (TimeNs slow_interval : {1, 4, 9, 23, 50})
          for (std::int64_t most = 0; most <= 9; ++most)
            ASSERT_EQ(steps_until_least_wait(fast_ticked, fast_interval, slow_ticked, slow_interval, most),
                      by_hand(fast_ticked, fast_interval, slow_ticked, slow_interval, most))
                << fast_ticked << " " << fast_interval << " " << slow_ticked << " " << slow_interval << " " << most;
}

TEST(Dssp, FormulaNeedsBothPaces) {
  EXPECT_EQ(steps_until_least_wait(100, 0, 60, 40, 5), 0);
  EXPECT_EQ(steps_until_least_wait(100, 10, 60, 0, 5), 0);
  EXPECT_EQ(steps_until_least_wait(100, 10, 90, 40, 5), 3);
}

// ---- the policy -------------------------------------------------------------------------------------

constexpr std::uint32_t kWorkers = 3;

// What a scheduler does with a policy, and the promises that must hold in every state.
class Job {
 public:
  Job(std::int64_t low, std::int64_t high) : low_(low), high_(high), policy_(low, high) {
    for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
      policy_.joined(worker, 0);
      clocks_[worker] = next_[worker] = 0;
    }
    grant();
  }

  [[nodiscard]] const std::map<std::uint32_t, Clock>& clocks() const { return clocks_; }
  [[nodiscard]] bool has_step(std::uint32_t worker) const { return next_.at(worker) > clocks_.at(worker); }
  [[nodiscard]] std::int64_t staleness_max() const { return staleness_max_; }
  [[nodiscard]] bool stuck() const {
    return std::ranges::none_of(clocks_, [&](const auto& entry) { return has_step(entry.first); });
  }

  void tick(std::uint32_t worker, TimeNs now) {
    policy_.ticked(worker, clocks_.at(worker)++, now);
    grant();
  }
  void go(std::uint32_t worker) {
    policy_.gone(worker);
    clocks_.erase(worker);
    next_.erase(worker);
    grant();
  }

 private:
  [[nodiscard]] Clock min() const {
    return std::ranges::min_element(clocks_, {}, [](const auto& entry) { return entry.second; })->second;
  }
  void grant() {
    for (auto& [worker, step] : next_) {
      const Clock own = clocks_.at(worker), highest = policy_.highest_grant(worker, own, min());
      EXPECT_LE(highest, own + 1);
      EXPECT_GE(highest, std::min(own + 1, min() + low_)) << "what ssp:LO allows";
      EXPECT_GE(highest + 1, step) << "credit was taken back";
      for (; step <= highest; ++step) {
        const std::int64_t bound = policy_.bound(worker, step, min());
        EXPECT_LE(step - min(), bound);
        EXPECT_GE(bound, low_);
        EXPECT_LE(bound, high_);
        staleness_max_ = std::max(staleness_max_, step - min());
      }
    }
  }

  std::int64_t low_, high_, staleness_max_ = 0;
  DsspPolicy policy_;
  std::map<std::uint32_t, Clock> clocks_, next_;
};

// Every order of ticks, with a short or a long time before each; at most one worker goes.
void visit(const Job& job, Clock clocks, int depth, bool may_go, TimeNs now, std::size_t& visited) {
  ++visited;
  ASSERT_FALSE(job.stuck());
  if (depth == 0) return;
  for (const auto& [worker, clock] : job.clocks()) {
    if (job.has_step(worker) && clock < clocks) {
      for (TimeNs later : {1, 5}) {
        Job next = job;
        next.tick(worker, now + later);
        visit(next, clocks, depth - 1, may_go, now + later, visited);
      }
    }
    if (may_go && depth == 3) {
      Job next = job;
      next.go(worker);
      visit(next, clocks, depth - 1, false, now, visited);
    }
  }
}

TEST(Dssp, KeepsItsPromisesInEveryOrderOfEvents) {
  std::size_t visited = 0;
  for (const auto& [low, high] : {std::pair{0, 0}, {0, 2}, {1, 2}, {1, 4}})
    visit(Job(low, high), 4, 8, true, 0, visited);
  EXPECT_GT(visited, 100'000u);
}

// Time by the workers' paces; returns how far ahead a step was granted.
std::int64_t staleness_at(std::int64_t low, std::int64_t high, std::map<std::uint32_t, TimeNs> pace) {
  Job job(low, high);
  std::map<std::uint32_t, TimeNs> due;  // of the step in hand
  for (TimeNs now = 0; now < 4000; ++now) {
    for (const auto& [worker, interval] : pace) {
      const auto at = due.find(worker);
      if (at != due.end() && at->second <= now) {
        job.tick(worker, now);
        due.erase(worker);
      }
      if (!due.contains(worker) && job.has_step(worker)) due[worker] = now + interval;
    }
  }
  return job.staleness_max();
}

TEST(Dssp, BoundFollowsThePaces) {
  EXPECT_LE(staleness_at(1, 8, {{0, 40}, {1, 40}, {2, 40}}), 1) << "equal paces need no credit";
  const std::int64_t at_four = staleness_at(1, 8, {{0, 40}, {1, 40}, {2, 10}});
  EXPECT_GT(at_four, 2);
  EXPECT_LE(at_four, 8);
  EXPECT_EQ(staleness_at(2, 2, {{0, 40}, {1, 40}, {2, 5}}), 2) << "as ssp:2";
}

}  // namespace
}  // namespace rubato::scheduler
