// Policies and the clock table over the whole of a small space: three workers, four clocks each, every order
// in which they can tick and in which one of them may go, against a model that is written to be obvious.
#include "scheduler/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "scheduler/clock_table.h"

namespace rubato::scheduler {
namespace {

constexpr std::uint32_t kWorkers = 3;
constexpr Clock kClocks = 4;

// The clocks of the workers that are there.
using Clocks = std::map<std::uint32_t, Clock>;

Clock least(const Clocks& clocks) {
  Clock found = kClocks;
  for (const auto& [worker, clock] : clocks) found = std::min(found, clock);
  return found;
}

Clock greatest(const Clocks& clocks) {
  Clock found = 0;
  for (const auto& [worker, clock] : clocks) found = std::max(found, clock);
  return found;
}

void expect_same(const ClockTable& table, const Clocks& clocks) {
  ASSERT_EQ(table.clocks(), clocks);
  ASSERT_EQ(table.size(), clocks.size());
  ASSERT_EQ(table.empty(), clocks.empty());
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker)
    ASSERT_EQ(table.contains(worker), clocks.contains(worker));
  if (clocks.empty()) return;
  ASSERT_EQ(table.min(), least(clocks));
  ASSERT_EQ(table.max(), greatest(clocks));
}

// Visits every order of ticks, and of at most `may_go` departures among them.
template <typename Visit>
void visit_orders(const Clocks& clocks, const ClockTable& table, int may_go, const Visit& visit) {
  visit(clocks, table);
  for (const auto& [worker, clock] : clocks) {
    if (clock < kClocks) {
      Clocks next = clocks;
      ++next[worker];
      ClockTable next_table = table;
      next_table.advance(worker);
      visit_orders(next, next_table, may_go, visit);
    }
    if (may_go > 0) {
      Clocks next = clocks;
      next.erase(worker);
      ClockTable next_table = table;
      next_table.remove(worker);
      visit_orders(next, next_table, may_go - 1, visit);
    }
  }
}

TEST(ClockTable, AgreesWithThePlainModelInEveryOrderOfEvents) {
  Clocks clocks;
  ClockTable table;
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
    clocks[worker] = 0;
    table.add(worker, 0);
  }
  std::size_t visited = 0;
  visit_orders(clocks, table, 1, [&](const Clocks& model, const ClockTable& real) {
    ++visited;
    expect_same(real, model);
  });
  EXPECT_GT(visited, 100'000u);
}

TEST(ClockTable, WorkersMayComeLater) {
  ClockTable table;
  table.add(1, 7);
  table.add(0, 5);
  EXPECT_EQ(table.min(), 5);
  table.remove(0);
  EXPECT_EQ(table.min(), 7);
  EXPECT_EQ(table.max(), 7);
}

TEST(ClockTable, WorkersMayJump) {
  ClockTable table;
  for (std::uint32_t worker = 0; worker < 3; ++worker) table.add(worker, 0);
  table.jump(0, 7);
  EXPECT_EQ(table.clock(0), 7);
  EXPECT_EQ(table.min(), 0);
  EXPECT_EQ(table.max(), 7);
  table.jump(1, 5);
  table.jump(2, 5);
  table.jump(2, 5);
  EXPECT_EQ(table.min(), 5);
}

// ---- modes without memory ----------------------------------------------------------------------------

// Whether a worker at clock `own` may have step `step` granted, from the definition of each mode.
bool allowed(const Mode& mode, Clock own, Clock min, Clock step) {
  if (mode.kind == Mode::Kind::kBsp || mode.kind == Mode::Kind::kBackup) return step <= own && own == min;
  const bool within_bound = mode.bound == Mode::kUnbounded || step - min <= mode.bound;
  return step <= own + 1 && within_bound;
}

class Policies : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Modes, Policies,
                         testing::Values("bsp", "backup:1", "softsync:2", "ssp:0", "ssp:1", "ssp:2", "ssp:3", "ssp:9",
                                         "asp"),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

TEST_P(Policies, GrantExactlyWhatTheModeAllows) {
  const Mode mode = parse_mode(GetParam()).value();
  const auto policy = make_policy(mode);
  for (Clock min = 0; min <= kClocks; ++min) {
    for (Clock own = min; own <= kClocks; ++own) {
      const Clock highest = policy->highest_grant(0, own, min);
      for (Clock step = own; step <= own + 3; ++step) {
        EXPECT_EQ(step <= highest, allowed(mode, own, min, step))
            << "own " << own << ", min " << min << ", step " << step;
        EXPECT_EQ(policy->bound(0, step, min), mode.bound);
      }
      EXPECT_GE(policy->highest_grant(0, own, std::min(own, min + 1)), highest) << "falls when the least clock rises";
      EXPECT_GE(policy->highest_grant(0, own + 1, min), std::min(highest, own + 1) - 1);
    }
  }
}

// Every order of ticks of what was granted: nobody is stuck, and nobody is beyond the bound.
struct Walk {
  const Policy& policy;
  const Mode& mode;
  std::map<std::pair<Clocks, Clocks>, bool> seen;  // clocks, next steps to be granted

  void visit(const Clocks& clocks, Clocks next) {
    for (auto& [worker, step] : next) {
      const Clock own = clocks.at(worker), min = least(clocks);
      for (; step < kClocks && step <= policy.highest_grant(worker, own, min); ++step) {
        ASSERT_TRUE(mode.bound == Mode::kUnbounded || step - min <= mode.bound);
        ASSERT_LE(step, own + 1);
      }
    }
    if (!seen.emplace(std::pair(clocks, next), true).second) return;
    bool stuck = true, done = true;
    for (const auto& [worker, clock] : clocks) {
      done = done && clock == kClocks;
      if (next.at(worker) <= clock) continue;  // it has nothing in hand
      stuck = false;
      Clocks after = clocks;
      ++after[worker];
      visit(after, next);
    }
    ASSERT_TRUE(done || !stuck) << "nobody can go on";
  }
};

TEST_P(Policies, NeverStopEverybodyAndNeverPassTheBound) {
  const Mode mode = parse_mode(GetParam()).value();
  const auto policy = make_policy(mode);
  Walk walk{*policy, mode, {}};
  const Clocks start{{0, 0}, {1, 0}, {2, 0}};
  walk.visit(start, start);
  const Clocks end{{0, kClocks}, {1, kClocks}, {2, kClocks}};
  EXPECT_TRUE(walk.seen.contains({end, end}));
}

}  // namespace
}  // namespace rubato::scheduler
