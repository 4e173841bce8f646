// Snapshots: when each slice is kept, what exact means, several at once, release.
#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Heartbeat;
using protocol::Pull;
using protocol::PushAck;
using protocol::Snapshot;
using protocol::SnapshotRelease;
using protocol::SnapshotTaken;
using protocol::Weights;

// One parameter in two slices of one element each.
Shard shard_of(const std::string& mode, std::uint32_t count) {
  return Shard(job_of(mode, count), {zeros("w", 2)}, {{0, {{0, 0, 1}}}, {0, {{0, 1, 1}}}}, workers(count));
}

void push(Shard& shard, SliceId slice, Clock clock, std::uint32_t rank = 0) {
  const Version version = shard.look(slice).version;
  const bool bsp = rank > 0;  // in these tests only bsp has more workers than one
  shard.receive(envelope_of(worker_node(rank)), push_of(clock, {1}, version, 1, {0, bsp ? rank : 0}, 1.0, slice));
}

std::vector<Weights> read(Shard& shard, std::uint64_t snapshot, SliceId slice) {
  shard.receive(envelope_of(evaluator_node(0)), Pull{.slice = slice, .clock = 3, .snapshot = snapshot});
  return shard.sent<Weights>();
}

TEST(Snapshots, InBspEachSliceIsKeptInTheExactStateOfTheClock) {
  Shard shard = shard_of("bsp", 2);
  shard.scheduler(Snapshot{1, 2});
  for (Clock clock = 0; clock < 4; ++clock) {
    for (SliceId slice : {0u, 1u}) {
      for (std::uint32_t rank : {0u, 1u}) push(shard, slice, clock, rank);
      const auto taken = shard.sent<SnapshotTaken>();
      ASSERT_EQ(taken.size(), clock == 1 && slice == 1 ? 1u : 0u);
      if (!taken.empty()) {
        EXPECT_TRUE(taken[0].exact);
        EXPECT_EQ(taken[0].id, 1u);
      }
    }
  }
  for (SliceId slice : {0u, 1u}) {
    const auto answer = read(shard, 1, slice);
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_EQ(answer[0].version, 2u);
    EXPECT_EQ(answer[0].floor, 2);
    EXPECT_EQ(answer[0].snapshot, 1u);
    EXPECT_EQ(answer[0].weights.floats()[0], -2.0f);
    ASSERT_EQ(shard.traced(protocol::TraceKind::kServe).size(), 1u);
    EXPECT_EQ(shard.traced(protocol::TraceKind::kServe)[0].snapshot, 1u);
  }
}

TEST(Snapshots, ExactOrNotByWhenTheMarkerComes) {
  struct Case {
    const char* mode;
    Clock pushed;  // clocks settled before the marker for clock 1
    bool exact;
  };
  for (const Case& c : {Case{"bsp", 0, true}, Case{"bsp", 1, true}, Case{"bsp", 2, false}, Case{"asp", 0, true},
                        Case{"asp", 1, true}, Case{"asp", 2, false}}) {
    SCOPED_TRACE(fmt::format("{} after {}", c.mode, c.pushed));
    Shard shard = shard_of(c.mode, 1);
    for (Clock clock = 0; clock < c.pushed; ++clock) {
      for (SliceId slice : {0u, 1u}) push(shard, slice, clock);
    }
    shard.scheduler(Snapshot{1, 1});
    if (c.pushed == 0) {
      EXPECT_TRUE(shard.sent<SnapshotTaken>().empty());
      push(shard, 0, 0);
      EXPECT_TRUE(shard.sent<SnapshotTaken>().empty());
      push(shard, 1, 0);
    }
    EXPECT_EQ(shard.only<SnapshotTaken>().exact, c.exact);
  }
}

TEST(Snapshots, APullWaitsForASnapshotThatIsNotTakenAndIsDroppedForOneThatIsNotHeld) {
  Shard shard = shard_of("asp", 1);
  shard.scheduler(Snapshot{5, 1});
  EXPECT_TRUE(read(shard, 5, 0).empty());
  EXPECT_EQ(shard.core.refused(), 0u);
  push(shard, 0, 0);
  EXPECT_EQ(shard.only<Weights>().snapshot, 5u);
  EXPECT_TRUE(read(shard, 5, 1).empty());
  EXPECT_TRUE(read(shard, 4, 0).empty());
  EXPECT_TRUE(read(shard, 6, 0).empty());
  EXPECT_EQ(shard.core.refused(), 2u);
  shard.scheduler(SnapshotRelease{5});
  push(shard, 1, 0);
  EXPECT_TRUE(shard.sent<Weights>().empty()) << "released while it waited";
  EXPECT_TRUE(read(shard, 5, 0).empty());
}

TEST(Snapshots, SeveralAtOnceAndReleaseOfAllUpToOne) {
  Shard shard = shard_of("asp", 1);
  for (std::uint64_t id : {1u, 2u, 3u}) shard.scheduler(Snapshot{id, static_cast<Clock>(id)});
  for (Clock clock = 0; clock < 5; ++clock) {
    for (SliceId slice : {0u, 1u}) push(shard, slice, clock);
  }
  for (std::uint64_t id : {1u, 2u, 3u}) EXPECT_EQ(read(shard, id, 0).at(0).version, id);
  shard.scheduler(SnapshotRelease{2});
  EXPECT_TRUE(read(shard, 1, 0).empty());
  EXPECT_TRUE(read(shard, 2, 0).empty());
  EXPECT_EQ(read(shard, 3, 0).at(0).version, 3u);
  shard.scheduler(Snapshot{2, 2});
  EXPECT_TRUE(shard.sent<SnapshotTaken>().empty()) << "late, and released already";
  shard.scheduler(Snapshot{3, 3});
  EXPECT_TRUE(shard.sent<SnapshotTaken>().empty()) << "said again";
}

TEST(Snapshots, AMarkerThatWasOvertakenIsTakenIn) {
  Shard shard = shard_of("asp", 1);
  shard.scheduler(Snapshot{2, 1});
  shard.scheduler(Snapshot{1, 0});
  EXPECT_EQ(shard.only<SnapshotTaken>().id, 1u);
}

TEST(Snapshots, TakenIsSaidAgainWithEveryHeartbeatUntilReleased) {
  Shard shard = shard_of("asp", 1);
  shard.scheduler(Snapshot{1, 0});
  EXPECT_EQ(shard.sent<SnapshotTaken>().size(), 1u);
  for (int beats = 0; beats < 3; ++beats) {
    shard.wake_at(shard.core.deadline());
    EXPECT_EQ(shard.only<protocol::Heartbeat>().snapshot, 1u);
    EXPECT_EQ(shard.sent<SnapshotTaken>().size(), 1u);
  }
  shard.scheduler(SnapshotRelease{1});
  shard.wake_at(shard.core.deadline());
  EXPECT_TRUE(shard.sent<SnapshotTaken>().empty());
}

TEST(Snapshots, HasABoundAndTakesTheNextOnceOneIsReleased) {
  Shard shard = shard_of("asp", 1);
  for (std::uint64_t id = 1; id <= kSnapshotsMax; ++id) shard.scheduler(Snapshot{id, 0});
  shard.scheduler(Snapshot{kSnapshotsMax + 1, 0});
  EXPECT_TRUE(shard.sent<SnapshotTaken>().empty());
  shard.scheduler(SnapshotRelease{1});
  shard.scheduler(Snapshot{kSnapshotsMax + 1, 0});
  EXPECT_EQ(shard.sent<SnapshotTaken>().back().id, kSnapshotsMax + 1);
}

// The scheduler holds grants back until it has this word; the next heartbeat would be late.
TEST(Snapshots, AreConfirmedAtOnce) {
  Shard shard = shard_of("bsp", 1);
  (void)shard.sent<Heartbeat>();
  shard.scheduler(Snapshot{1, 5});
  const auto beats = shard.sent<Heartbeat>();
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_EQ(beats[0].snapshot, 1u);
}

// All snapshots of many versions, each also kept by a reader, and readers that never let go.
TEST(Snapshots, PinsNeverStopUpdates) {
  Shard shard = shard_of("asp", 1);
  std::vector<Payload> kept;
  std::uint64_t id = 0;
  for (Clock clock = 0; clock < 200; ++clock) {
    shard.scheduler(Snapshot{++id, clock});
    kept.push_back(read(shard, id, 0).at(0).weights);
    if (id > kSnapshotsMax - 1) shard.scheduler(SnapshotRelease{id - kSnapshotsMax + 1});
    kept.push_back(shard.look(1).weights);
    for (SliceId slice : {0u, 1u}) push(shard, slice, clock);
    EXPECT_EQ(shard.sent<PushAck>().size(), 1u);
  }
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(kept[i].floats()[0], -static_cast<float>(i / 2));
}

TEST(Snapshots, WithAllWorkersGoneWhatIsThereIsTaken) {
  Shard shard = shard_of("asp", 1);
  for (SliceId slice : {0u, 1u}) push(shard, slice, 0);
  shard.scheduler(Snapshot{1, 9});
  EXPECT_TRUE(shard.sent<SnapshotTaken>().empty());
  shard.membership(2, {});
  EXPECT_EQ(shard.sent<SnapshotTaken>().size(), 1u);
}

TEST(Snapshots, AShardWithoutSlicesHasThemAtOnce) {
  Shard shard(job_of("bsp"));
  shard.welcome({zeros("w", 1)}, {{1, {{0, 0, 1}}}}, workers(1));
  shard.scheduler(Snapshot{1, 5});
  EXPECT_TRUE(shard.only<SnapshotTaken>().exact);
}

}  // namespace
}  // namespace rubato::server
