// Which steps make which update: over the whole of a small space, three workers, four clocks, every order of
// ticks, and one worker that goes at any moment. And what is said to shards until they have applied it.
#include "scheduler/commits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace rubato::scheduler {
namespace {

using protocol::Commit;
using protocol::Contributor;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint32_t kWorkers = 3;
constexpr Clock kClocks = 4;

AcceptedStep step_of(std::uint32_t worker, Clock clock) {
  AcceptedStep step{worker, {}, 0};
  step.tick.clock = clock;
  return step;
}

// What a scheduler does with the ledger; workers have a step in hand, or wait.
class Job {
 public:
  explicit Job(const Mode& mode) : mode_(mode), commits_(mode, 1) {
    for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
      commits_.joined(worker, 0);
      hand_[worker] = 0;
    }
  }

  [[nodiscard]] const std::map<std::uint32_t, Clock>& hands() const { return hand_; }
  [[nodiscard]] bool has_step(std::uint32_t worker) const { return hand_.at(worker) != kNoClock; }

  void tick(std::uint32_t worker) {
    const Clock clock = hand_.at(worker);
    hand_[worker] = kNoClock;
    if (backup() && clock < open_) {  // too late
      take(worker, open_);
    } else {
      ++accepted_;
      commits_.accept(step_of(worker, clock));
      position_[worker] = clock + 1;
      if (!backup()) take(worker, clock + 1);
      commit_if_complete();
    }
  }
  void go(std::uint32_t worker) {
    accepted_ -= static_cast<std::size_t>(position_[worker] - commits_.done(worker));
    commits_.gone(worker);
    hand_.erase(worker);
    position_.erase(worker);
    commit_if_complete();
  }
  void finish() {
    for (const auto& [worker, clock] : hand_) ASSERT_EQ(clock, kNoClock);
    if (commits_.unfinished()) commit();
    EXPECT_FALSE(commits_.unfinished());
    EXPECT_EQ(contributed_.size(), accepted_) << "an accepted step is in no commit";
    EXPECT_EQ(commits_.floor(), kClocks);
  }

 private:
  [[nodiscard]] bool backup() const { return mode_.kind == Mode::Kind::kBackup; }
  // From the definition of each mode.
  [[nodiscard]] std::size_t needed() const {
    const auto workers = static_cast<std::int64_t>(hand_.size());
    const std::int64_t enough = backup() ? workers - mode_.backups : workers / mode_.splits;
    return static_cast<std::size_t>(std::max<std::int64_t>(enough, 1));
  }
  void take(std::uint32_t worker, Clock clock) { hand_[worker] = clock < kClocks ? clock : kNoClock; }

  void commit_if_complete() {
    if (!commits_.complete()) return;
    commit(needed());
    EXPECT_FALSE(commits_.complete());
  }
  void commit(std::size_t least = 0) {
    const Commits::Made made = commits_.make(0.5, 0);
    const Commit& message = made.message;
    EXPECT_EQ(message.number, ++number_);
    EXPECT_GE(message.contributors.size(), least);
    EXPECT_TRUE(std::ranges::is_sorted(message.contributors));
    for (const Contributor& contributor : message.contributors) {
      EXPECT_TRUE(contributed_.insert(contributor).second) << "twice";
      EXPECT_TRUE(hand_.contains(contributor.rank)) << "of a worker that is gone";
      if (backup()) {
        EXPECT_EQ(contributor.clock, open_);
      }
    }
    if (backup()) {
      EXPECT_EQ(message.floor, open_ + 1);
      ++open_;
      for (auto& [worker, clock] : hand_) {
        position_[worker] = open_;
        if (clock == kNoClock) take(worker, open_);
      }
    } else {
      Clock floor = kClocks;
      for (const auto& [worker, clock] : hand_) floor = std::min(floor, commits_.done(worker));
      EXPECT_EQ(message.floor, floor);
    }
  }

  Mode mode_;
  Commits commits_;
  std::map<std::uint32_t, Clock> hand_, position_;
  Clock open_ = 0;
  std::uint64_t number_ = 0;
  std::size_t accepted_ = 0;  // of workers that are there, or in a commit
  std::set<Contributor> contributed_;
};

void visit(const Job& job, bool may_go, std::size_t& ends) {
  bool over = true;
  for (const auto& [worker, clock] : job.hands()) {
    if (job.has_step(worker)) {
      over = false;
      Job next = job;
      next.tick(worker);
      visit(next, may_go, ends);
    }
    if (may_go) {
      Job next = job;
      next.go(worker);
      visit(next, false, ends);
    }
  }
  if (!over) return;
  ++ends;
  Job last = job;
  last.finish();
}

class EveryOrder : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Modes, EveryOrder,
                         testing::Values("backup:0", "backup:1", "backup:2", "softsync:1", "softsync:2", "softsync:3"),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

TEST_P(EveryOrder, EndsWithEveryStepInOneCommitOrTooLate) {
  std::size_t ends = 0;
  visit(Job(parse_mode(GetParam()).value()), true, ends);
  EXPECT_GT(ends, 100u);
}

// ---- shards -----------------------------------------------------------------------------------------

TEST(Commits, AreSaidUntilEveryShardHasAppliedThem) {
  Commits commits(parse_mode("softsync:1").value(), 2);
  commits.joined(0, 0);
  for (Clock clock = 0; clock < 3; ++clock) {
    commits.accept(step_of(0, clock));
    ASSERT_EQ(commits.make(1.0, 100).message.number, static_cast<std::uint64_t>(clock + 1));
  }
  EXPECT_THAT(commits.unanswered(0, 109, 10), IsEmpty()) << "too soon";
  EXPECT_THAT(commits.unanswered(0, 110, 10), SizeIs(3));
  commits.applied(0, 2);
  commits.applied(0, 1);  // came late
  EXPECT_THAT(commits.unanswered(0, 110, 10), SizeIs(1));
  EXPECT_THAT(commits.unanswered(1, 110, 10), SizeIs(3));
  commits.said_again(110, 10);
  EXPECT_THAT(commits.unanswered(1, 119, 10), IsEmpty());
  commits.applied(0, 3);
  commits.applied(1, 99);  // what was never made
  EXPECT_TRUE(commits.applied_by_all());
}

TEST(Commits, TooManyThatAreNotAppliedHoldGrants) {
  Commits commits(parse_mode("softsync:1").value(), 1);
  commits.joined(0, 0);
  for (std::uint64_t number = 1; number <= Commit::kAheadMax; ++number) {
    EXPECT_FALSE(commits.crowded());
    commits.accept(step_of(0, static_cast<Clock>(number - 1)));
    (void)commits.make(1.0, 0);
  }
  EXPECT_TRUE(commits.crowded());
  commits.applied(0, 1);
  EXPECT_FALSE(commits.crowded());
}

TEST(Commits, AFloorThatRisesBecauseAWorkerIsGoneIsCommittedToo) {
  Commits commits(parse_mode("softsync:2").value(), 1);
  commits.joined(0, 0);
  commits.joined(1, 0);
  commits.accept(step_of(0, 0));
  EXPECT_EQ(commits.make(1.0, 0).message.floor, 0);
  EXPECT_FALSE(commits.unfinished());
  commits.gone(1);
  EXPECT_TRUE(commits.unfinished());
  EXPECT_FALSE(commits.complete()) << "there is no hurry";
  const auto made = commits.make(1.0, 0);
  EXPECT_THAT(made.message.contributors, IsEmpty());
  EXPECT_EQ(made.message.floor, 1);
}

TEST(Commits, AddUpInOrderOfRanksAndClocksWhoeverCameFirst) {
  Commits commits(parse_mode("softsync:1").value(), 1);
  for (std::uint32_t worker = 0; worker < 3; ++worker) commits.joined(worker, 0);
  for (const auto& [worker, clock] : {std::pair{2u, 0}, {0u, 0}, {0u, 1}}) commits.accept(step_of(worker, clock));
  EXPECT_THAT(commits.make(1.0, 0).message.contributors,
              ElementsAre(Contributor{0, 0}, Contributor{0, 1}, Contributor{2, 0}));
}

}  // namespace
}  // namespace rubato::scheduler
