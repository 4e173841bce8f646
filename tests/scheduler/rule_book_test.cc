// Rules that follow each other: what a worker may be granted is what the rules of each clock allow, in every
// change of modes, at every clock.
#include "scheduler/rule_book.h"

#include <gtest/gtest.h>

#include <map>

namespace rubato::scheduler {
namespace {

constexpr const char* kModes[] = {"ssp:0", "ssp:1", "ssp:3", "asp"};

Mode mode(const char* name) { return parse_mode(name).value(); }

const std::map<std::uint32_t, Clock> kWorkers{{0, 0}, {1, 0}};

RuleBook book_of(const char* before, Clock first, const char* after) {
  RuleBook book(mode(before), 0.1);
  for (const auto& [worker, clock] : kWorkers) book.joined(worker, clock);
  book.announce({2, first, mode(after), 0.1, 0}, kWorkers);
  return book;
}

TEST(RuleBook, GrantsWhatTheRulesOfEachClockAllow) {
  for (const char* before : kModes)
    for (const char* after : kModes)
      for (Clock first = 1; first <= 5; ++first) {
        const RuleBook book = book_of(before, first, after);
        for (Clock min = 0; min <= 6; ++min)
          for (Clock own = min; own <= 8; ++own) {
            // The highest step up to which all are allowed.
            Clock expected = own - 1;
            for (Clock step = own; step <= own + kGrantAhead; ++step) {
              const std::int64_t bound = mode(step < first ? before : after).bound;
              if (bound != Mode::kUnbounded && step - min > bound) break;
              expected = step;
            }
            EXPECT_EQ(book.highest_grant(0, own, min), expected)
                << before << " to " << after << " at " << first << ": own " << own << ", min " << min;
          }
        for (Clock step = 0; step <= 8; ++step) {
          EXPECT_EQ(book.bound(0, step, 0), mode(step < first ? before : after).bound);
          EXPECT_EQ(book.at(step).epoch, step < first ? 1u : 2u);
        }
      }
}

TEST(RuleBook, RulesComeIntoForceWithTheSlowestWorker) {
  RuleBook book = book_of("asp", 5, "ssp:1");
  book.announce({3, 9, mode("ssp:1"), 0.2, 0}, kWorkers);
  EXPECT_EQ(book.pending(), 2u);
  EXPECT_EQ(book.come_into_force(4), nullptr);
  EXPECT_EQ(book.in_force().epoch, 1u);
  EXPECT_EQ(book.come_into_force(6)->epoch, 2u);
  EXPECT_EQ(book.come_into_force(6), nullptr);
  EXPECT_EQ(book.pending(0).epoch, 3u);
  EXPECT_EQ(book.at(3).epoch, 2u) << "of what all have behind them only those in force are known";
  // A death may bring the least clock over several changes at once.
  book.announce({4, 12, mode("asp"), 0.2, 0}, kWorkers);
  EXPECT_EQ(book.come_into_force(20)->epoch, 3u);
  EXPECT_EQ(book.come_into_force(20)->epoch, 4u);
  EXPECT_EQ(book.come_into_force(20), nullptr);
  EXPECT_EQ(book.pending(), 0u);
}

TEST(RuleBook, RulesOfWhichNobodyWasGrantedAStepNeverHold) {
  RuleBook book = book_of("asp", 5, "ssp:0");
  EXPECT_EQ(book.highest_grant(0, 5, 0), 4);
  book.announce({3, 5, mode("asp"), 0.1, 0}, kWorkers);
  EXPECT_EQ(book.pending(), 1u);
  EXPECT_EQ(book.highest_grant(0, 5, 0), 6);
  EXPECT_EQ(book.come_into_force(5)->epoch, 3u);
  // Also of those in force, where all stand at their first clock.
  book.announce({4, 5, mode("ssp:2"), 0.1, 0}, kWorkers);
  EXPECT_EQ(book.in_force().epoch, 4u);
  EXPECT_EQ(book.come_into_force(5)->epoch, 4u);
  EXPECT_EQ(book.come_into_force(5), nullptr);
}

// A policy that learns the pace of workers is not made anew for another rate, and one that is new sees them from the
// announcement on.
TEST(RuleBook, PoliciesKnowThePaceOfWorkers) {
  const auto credit_after = [](const char* before, const char* after) {
    RuleBook book(mode(before), 0.1);
    book.joined(0, 0);
    book.joined(1, 0);
    book.announce({2, 4, mode(after), 0.2, 0}, {{0, 0}, {1, 0}});
    // worker-0 needs 10 a step, worker-1 needs 40.
    for (Clock clock = 0; clock < 3; ++clock) book.ticked(0, clock, (clock + 1) * 10);
    for (Clock clock = 0; clock < 4; ++clock) book.ticked(1, clock, (clock + 1) * 40);
    for (Clock clock = 3; clock < 6; ++clock) book.ticked(0, clock, 140 + clock * 10);
    return book.highest_grant(0, 6, 4);
  };
  EXPECT_EQ(credit_after("dssp:1..8", "dssp:1..8"), credit_after("asp", "dssp:1..8"));
  EXPECT_GT(credit_after("asp", "dssp:1..8"), 5);
}

}  // namespace
}  // namespace rubato::scheduler
