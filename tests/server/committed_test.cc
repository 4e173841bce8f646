// A shard that accepts pushes and applies commits (backup, softsync).
#include <limits>

#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Commit;
using protocol::Committed;
using protocol::Contributor;
using protocol::Fate;
using protocol::Pull;
using protocol::PushAck;
using protocol::TraceKind;
using protocol::Weights;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

Shard shard_of(const std::string& mode = "softsync:1") { return Shard(job_of(mode), 2, workers(3)); }

Commit commit_of(std::uint64_t number, std::vector<Contributor> contributors, Clock floor = 0, double rate = 1.0) {
  return {number, std::move(contributors), rate, floor};
}

TEST(Committed, APushIsSettledWhenItIsAcceptedAndChangesNothing) {
  Shard shard = shard_of();
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 2}));
  expect_same(shard.only<PushAck>(), {.node = {}, .fate = Fate::kAccepted});
  EXPECT_EQ(shard.traced(TraceKind::kSettle).size(), 1u);
  EXPECT_THAT(shard.weights(), ElementsAre(0.0f, 0.0f));
  EXPECT_EQ(shard.look().version, 0u);
}

TEST(Committed, ACommitIsOneUpdateFromTheMeanOverTheSamplesOfItsPushes) {
  Shard shard = shard_of();
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 2}, 0, 1));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {50, 60}, 0, 1));
  shard.receive(envelope_of(worker_node(2)), push_of(0, {3, 10}, 0, 3));
  shard.scheduler(commit_of(1, {{0, 0}, {2, 0}}, 0, 0.5));
  EXPECT_EQ(shard.only<Committed>().number, 1u);
  EXPECT_THAT(shard.weights(), ElementsAre(-0.5f, -1.5f));
  EXPECT_EQ(shard.look().version, 1u);
  shard.scheduler(commit_of(2, {{1, 0}}, 1));
  EXPECT_THAT(shard.weights(), ElementsAre(-50.5f, -61.5f)) << "a late one counts in the next";
  EXPECT_EQ(shard.look().floor, 1);
  EXPECT_EQ(shard.core.counters().dropped, 0u);
}

// 1e8 - 1e8 + 1 is 1, and 1 + 1e8 - 1e8 is 0, whoever came first.
TEST(Committed, SumsInTheOrderOfTheCommit) {
  for (const bool first : {true, false}) {
    Shard shard = shard_of();
    const auto push = [&](std::uint32_t rank, float value) {
      shard.receive(envelope_of(worker_node(rank)), push_of(0, {value, 0}));
    };
    if (first) push(2, 1.0f);
    push(1, -1e8f);
    push(0, 1e8f);
    if (!first) push(2, 1.0f);
    shard.scheduler(commit_of(1, {{0, 0}, {1, 0}, {2, 0}}, 1, 3.0));
    EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, 0.0f));
  }
}

TEST(Committed, CommitsAreAppliedInOrderAndOnce) {
  Shard shard = shard_of();
  for (Clock clock = 0; clock < 3; ++clock) shard.receive(envelope_of(worker_node(0)), push_of(clock, {1, 1}));
  shard.scheduler(commit_of(3, {{0, 2}}, 3));
  EXPECT_EQ(shard.only<Committed>().number, 0u);
  shard.scheduler(commit_of(2, {{0, 1}}, 2));
  EXPECT_THAT(shard.weights(), ElementsAre(0.0f, 0.0f));
  shard.scheduler(commit_of(1, {{0, 0}}, 1));
  EXPECT_EQ(shard.only<Committed>().number, 3u);
  const auto applied = shard.traced(TraceKind::kApply);
  ASSERT_THAT(applied, SizeIs(3));
  for (std::uint64_t number = 1; number <= 3; ++number) EXPECT_EQ(applied[number - 1].version, number);
  shard.scheduler(commit_of(2, {{0, 1}}, 2));
  EXPECT_EQ(shard.only<Committed>().number, 3u) << "said again, because the answer was lost";
  EXPECT_THAT(shard.traced(TraceKind::kApply), IsEmpty());
  EXPECT_THAT(shard.weights(), ElementsAre(-3.0f, -3.0f));
  EXPECT_EQ(shard.look().floor, 3);
}

TEST(Committed, RepeatsGetTheIdenticalAnswerBeforeAndAfterTheCommit) {
  Shard shard = shard_of();
  const auto push = push_of(0, {1, 1});
  shard.receive(envelope_of(worker_node(0)), push);
  const PushAck first = shard.only<PushAck>();
  shard.receive(envelope_of(worker_node(0)), push);
  expect_same(shard.only<PushAck>(), first);
  shard.scheduler(commit_of(1, {{0, 0}}, 0));
  shard.receive(envelope_of(worker_node(0)), push);
  expect_same(shard.only<PushAck>(), first);
  EXPECT_EQ(shard.traced(TraceKind::kRepeat).size(), 1u);
  EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, -1.0f));
  shard.receive(envelope_of(worker_node(0)), push_of(1, {1, 1}, 1));
  shard.receive(envelope_of(worker_node(0)), push);
  EXPECT_THAT(shard.out.messages, IsEmpty()) << "nobody waits for an older answer";
}

TEST(Committed, BackupDropsWhatComesWhenItsClockIsClosed) {
  Shard shard = shard_of("backup:1");
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {3, 3}));
  shard.receive(envelope_of(worker_node(2)), push_of(0, {90, 90}));  // accepted, and in no commit
  shard.scheduler(commit_of(1, {{0, 0}, {1, 0}}, 1));
  ASSERT_EQ(shard.traced(TraceKind::kDrop).size(), 1u);
  EXPECT_EQ(shard.traced(TraceKind::kDrop)[0].worker, 2u);
  EXPECT_THAT(shard.weights(), ElementsAre(-2.0f, -2.0f));

  shard.receive(envelope_of(worker_node(0)), push_of(1, {1, 1}, 1));
  shard.receive(envelope_of(worker_node(2)), push_of(1, {1, 1}, 1));
  shard.scheduler(commit_of(2, {{0, 1}, {2, 1}}, 2));
  const auto late = push_of(1, {70, 70}, 1);
  shard.receive(envelope_of(worker_node(1)), late);
  const PushAck dropped = shard.only<PushAck>();
  expect_same(dropped, {.clock = 1, .node = {}, .fate = Fate::kDropped, .floor = 2});
  shard.receive(envelope_of(worker_node(1)), late);
  expect_same(shard.only<PushAck>(), dropped);
  EXPECT_EQ(shard.core.counters().dropped, 2u);
  // It jumps to the clock that is open.
  shard.receive(envelope_of(worker_node(1)), push_of(5, {1, 1}, 2));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kAccepted);
  EXPECT_THAT(shard.weights(), ElementsAre(-3.0f, -3.0f));
}

TEST(Committed, PullsWaitForTheFloorThatACommitBrings) {
  Shard shard = shard_of("backup:0");
  for (std::uint32_t rank = 0; rank < 3; ++rank) shard.receive(envelope_of(worker_node(rank)), push_of(0, {1, 1}));
  shard.receive(envelope_of(worker_node(0)), Pull{.clock = 1, .floor = 1});
  EXPECT_THAT(shard.out.messages, IsEmpty());
  shard.scheduler(commit_of(1, {{0, 0}, {1, 0}, {2, 0}}, 1));
  const Weights weights = shard.only<Weights>();
  EXPECT_EQ(weights.version, 1u);
  EXPECT_EQ(weights.floor, 1);
}

TEST(Committed, WhatADeadWorkerHadAcceptedCountsWhereItWasCommittedAndGoesElse) {
  Shard shard = shard_of();
  shard.receive(envelope_of(worker_node(1)), push_of(0, {4, 4}));
  shard.receive(envelope_of(worker_node(1)), push_of(1, {90, 90}));
  shard.receive(envelope_of(worker_node(0)), push_of(0, {2, 2}));
  // Word of the death overtakes the commit that was made before.
  shard.scheduler(protocol::Seal{1, 1});
  EXPECT_EQ(shard.only<protocol::Sealed>().highest, 1);
  shard.membership(2, {{0, 1, 0}, {2, 1, 0}});
  shard.scheduler(commit_of(1, {{0, 0}, {1, 0}}, 0));
  EXPECT_THAT(shard.weights(), ElementsAre(-3.0f, -3.0f));
  shard.receive(envelope_of(worker_node(1)), push_of(2, {9, 9}));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kFenced);
  shard.scheduler(commit_of(2, {}, 2));
  EXPECT_EQ(shard.traced(TraceKind::kDrop).size(), 1u) << "nobody will ever commit it";
  EXPECT_THAT(shard.weights(), ElementsAre(-3.0f, -3.0f));
  EXPECT_EQ(shard.look().version, 2u);
}

TEST(Committed, EmptyAndSpoiltPushesHaveNoPartInTheMean) {
  Shard shard = shard_of();
  const float infinite = std::numeric_limits<float>::infinity();
  shard.receive(envelope_of(worker_node(0)), push_of(0, {}, 0, 0));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kEmpty);
  shard.receive(envelope_of(worker_node(1)), push_of(0, {infinite, 1}, 0, 5));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kNonFinite);
  EXPECT_EQ(shard.only<protocol::Alarm>().worker, 1u);
  EXPECT_EQ(shard.only<protocol::Alarm>().element, 0u);
  shard.receive(envelope_of(worker_node(2)), push_of(0, {2, 2}, 0, 2));
  shard.scheduler(commit_of(1, {{0, 0}, {1, 0}, {2, 0}}, 1));
  EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, -1.0f));

  shard.receive(envelope_of(worker_node(0)), push_of(1, {}, 1, 0));
  shard.scheduler(commit_of(2, {{0, 1}}, 1));
  EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, -1.0f));
  EXPECT_EQ(shard.look().version, 2u) << "a commit is a version, whatever is in it";
}

TEST(Committed, AnInfiniteSumChangesNothing) {
  Shard shard = shard_of();
  const float huge = std::numeric_limits<float>::max();
  for (std::uint32_t rank = 0; rank < 2; ++rank) shard.receive(envelope_of(worker_node(rank)), push_of(0, {huge, 0}));
  shard.scheduler(commit_of(1, {{0, 0}, {1, 0}}, 0));
  EXPECT_EQ(shard.only<protocol::Alarm>().clock, 0);
  EXPECT_EQ(shard.only<protocol::Alarm>().element, protocol::Alarm::kNoElement);
  EXPECT_THAT(shard.weights(), ElementsAre(0.0f, 0.0f));
  EXPECT_EQ(shard.look().version, 1u);
}

TEST(Committed, AgesAreCountedInCommits) {
  Shard shard = shard_of();
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {1, 1}));
  shard.scheduler(commit_of(1, {{0, 0}}, 0));
  EXPECT_EQ(shard.traced(TraceKind::kContribution).at(0).age, 0u);
  shard.scheduler(commit_of(2, {{1, 0}}, 0));
  EXPECT_EQ(shard.traced(TraceKind::kContribution).at(0).age, 1u);
}

TEST(Committed, NobodyFillsTheMemory) {
  Shard shard = shard_of();
  constexpr Clock kMost = 3 * (Commit::kAheadMax + 3);
  for (Clock clock = 0; clock < kMost; ++clock) shard.receive(envelope_of(worker_node(0)), push_of(clock, {1, 1}));
  EXPECT_EQ(shard.sent<PushAck>().size(), 1u);
  shard.receive(envelope_of(worker_node(0)), push_of(kMost, {1, 1}));
  EXPECT_THAT(shard.out.messages, IsEmpty());
  EXPECT_EQ(shard.core.refused(), 1u);
  shard.scheduler(commit_of(1, {{0, 0}}));
  shard.receive(envelope_of(worker_node(0)), push_of(kMost, {1, 1}));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kAccepted);
}

TEST(Committed, WhatMakesNoSenseIsRefusedAndHarmsNothing) {
  Shard shard = shard_of();
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  shard.receive(envelope_of(worker_node(0)), commit_of(1, {{0, 0}}));
  EXPECT_EQ(shard.core.refused(), 1u) << "workers do not commit";
  shard.scheduler(commit_of(1, {{1, 0}}));
  EXPECT_EQ(shard.core.refused(), 2u) << "nothing of worker-1 was accepted";
  shard.scheduler(commit_of(Commit::kAheadMax + 1, {{0, 0}}));
  EXPECT_EQ(shard.core.refused(), 3u) << "too far ahead";
  EXPECT_EQ(shard.look().version, 0u);
  shard.scheduler(commit_of(1, {{0, 0}}));
  EXPECT_EQ(shard.look().version, 1u);

  Shard arrival(job_of("asp"), 2, workers(3));
  arrival.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  arrival.scheduler(commit_of(1, {{0, 0}}));
  EXPECT_EQ(arrival.core.refused(), 1u);
  EXPECT_EQ(arrival.look().version, 1u);
}

}  // namespace
}  // namespace rubato::server
