// A shard that sums the pushes of a clock along the leaf tree (bsp).
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Fate;
using protocol::LeafNode;
using protocol::Pull;
using protocol::Push;
using protocol::PushAck;
using protocol::TraceKind;
using protocol::Weights;
using testing::ElementsAre;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Shard shard_of(std::int64_t leaves, std::uint32_t count, std::int64_t elements = 2) {
  Job job = job_of("bsp", leaves);
  job.cluster.workers = count;
  return Shard(job, elements, workers(count));
}

TEST(Bsp, OneUpdateFromTheMeanOnceTheRootIsComplete) {
  Shard shard = shard_of(4, 2);
  shard.receive(envelope_of(worker_node(0), 1, 10), push_of(0, {3, 0}, 0, 2, {1, 0}, 0.5));
  EXPECT_TRUE(shard.out.messages.empty());
  EXPECT_THAT(shard.weights(), ElementsAre(0.0f, 0.0f));
  shard.receive(envelope_of(worker_node(1), 1, 11), push_of(0, {1, 4}, 0, 2, {1, 1}, 0.5));
  const auto acks = shard.sent<PushAck>();
  ASSERT_EQ(acks.size(), 2u);
  expect_same(acks[0], {.node = {1, 0}, .fate = Fate::kApplied, .version = 1, .age = 0, .floor = 1});
  expect_same(acks[1], {.node = {1, 1}, .fate = Fate::kApplied, .version = 1, .age = 0, .floor = 1});
  EXPECT_EQ(shard.out.messages[0].via, 10u);
  EXPECT_EQ(shard.out.messages[1].via, 11u);
  EXPECT_EQ(shard.traced(TraceKind::kSettle).size(), 2u);
  ASSERT_EQ(shard.traced(TraceKind::kApply).size(), 1u);
  EXPECT_EQ(shard.traced(TraceKind::kApply)[0].version, 1u);
  EXPECT_THAT(shard.weights(), ElementsAre(-0.5f, -0.5f));
  EXPECT_EQ(shard.core.counters().pushes, 2u);
}

// The same leaves from any number of workers, in any order, with a ragged tree: the same bits, clock for clock.
TEST(Bsp, WeightsDoNotDependOnWorkersOrOrder) {
  constexpr std::size_t kElements = 5;
  for (std::uint32_t leaves = 1; leaves <= 9; ++leaves) {
    std::vector<float> expected;
    for (std::uint32_t count = 1; count <= std::min(leaves, 5u); ++count) {
      Shard shard = shard_of(leaves, count, kElements);
      RandomStream random(stream_key(leaves, "gradients")), shuffle(stream_key(count, "order"));
      for (Clock clock = 0; clock < 3; ++clock) {
        std::vector<std::vector<float>> gradients(leaves, std::vector<float>(kElements));
        for (auto& gradient : gradients) {
          for (float& value : gradient) value = static_cast<float>(random.next_normal() * std::exp2(random.below(20)));
        }
        const auto sum = [&](auto&& self, LeafNode node) -> std::vector<float> {
          if (node.level == 0) return gradients[node.index];
          const LeafNode left{static_cast<std::uint8_t>(node.level - 1), 2 * node.index}, right = left.sibling();
          std::vector<float> total = self(self, left);
          if (!protocol::exists(right, leaves)) return total;
          const std::vector<float> other = self(self, right);
          for (std::size_t i = 0; i < kElements; ++i) total[i] += other[i];
          return total;
        };
        std::vector<std::pair<std::uint32_t, LeafNode>> pushes;
        for (std::uint32_t rank = 0; rank < count; ++rank) {
          for (LeafNode node : protocol::nodes_of_worker(rank, count, leaves)) pushes.emplace_back(rank, node);
        }
        for (std::size_t i = pushes.size(); i > 1; --i) std::swap(pushes[i - 1], pushes[shuffle.below(i)]);
        for (const auto& [rank, node] : pushes) {
          const auto samples = static_cast<std::uint32_t>(protocol::end_leaf(node, leaves) - node.first_leaf());
          shard.receive(envelope_of(worker_node(rank)),
                        push_of(clock, sum(sum, node), static_cast<Version>(clock), samples, node, 0.1));
        }
        EXPECT_EQ(shard.sent<PushAck>().size(), pushes.size());
      }
      const auto weights = shard.weights();
      if (count == 1) expected = weights;
      EXPECT_EQ(weights, expected) << leaves << " leaves, " << count << " workers";
    }
  }
}

TEST(Bsp, RepeatsAreNotAddedAndGetTheIdenticalAnswer) {
  Shard shard = shard_of(2, 2);
  const Push left = push_of(0, {1, 1}, 0, 1, {0, 0}), right = push_of(0, {2, 2}, 0, 1, {0, 1});
  shard.receive(envelope_of(worker_node(0), 1, 10), left);
  shard.receive(envelope_of(worker_node(0), 1, 20), left);  // by a new connection
  EXPECT_TRUE(shard.out.messages.empty());
  EXPECT_EQ(shard.traced(TraceKind::kRepeat).size(), 1u);
  shard.receive(envelope_of(worker_node(1)), right);
  const auto acks = shard.sent<PushAck>();
  ASSERT_EQ(acks.size(), 2u);
  EXPECT_EQ(shard.out.messages[0].via, 20u);
  EXPECT_EQ(shard.traced(TraceKind::kSettle).size(), 2u);
  EXPECT_THAT(shard.weights(), ElementsAre(-1.5f, -1.5f));

  // After it was settled, also while the next clock is open.
  shard.receive(envelope_of(worker_node(1)), push_of(1, {1, 1}, 1, 1, {0, 1}));
  shard.receive(envelope_of(worker_node(0)), left);
  expect_same(shard.only<PushAck>(), acks[0]);
  shard.receive(envelope_of(worker_node(1)), right);
  expect_same(shard.only<PushAck>(), acks[1]);
  EXPECT_THAT(shard.weights(), ElementsAre(-1.5f, -1.5f));
  shard.receive(envelope_of(worker_node(0)), push_of(1, {1, 1}, 1, 1, {0, 0}));
  EXPECT_EQ(shard.sent<PushAck>().size(), 2u);
  shard.receive(envelope_of(worker_node(0)), left);
  EXPECT_TRUE(shard.out.messages.empty()) << "two clocks back nobody waits";
  EXPECT_EQ(shard.core.counters().repeated, 4u);
}

// Worker 1 dies after its push of the clock was taken here and lost elsewhere: worker 0 computes it again.
TEST(Bsp, ADeadWorkersLeavesStayAndMayComeAgain) {
  Shard shard = shard_of(4, 2);
  const Push dead = push_of(0, {2, 2}, 0, 2, {1, 1});
  shard.receive(envelope_of(worker_node(1)), dead);
  shard.scheduler(protocol::Seal{1, 1});
  EXPECT_EQ(shard.only<protocol::Sealed>().highest, kNoClock);
  shard.membership(2, workers(1));
  shard.receive(envelope_of(worker_node(1)), dead);
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kFenced);
  shard.receive(envelope_of(worker_node(0)), dead);
  EXPECT_TRUE(shard.out.messages.empty());
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}, 0, 2, {1, 0}));
  const auto acks = shard.sent<PushAck>();
  ASSERT_EQ(acks.size(), 3u) << "the dead worker's too: nobody reads it";
  EXPECT_TRUE(std::ranges::all_of(acks, [](const PushAck& ack) { return ack.fate == Fate::kApplied; }));
  const auto settled = shard.traced(TraceKind::kSettle);
  ASSERT_EQ(settled.size(), 2u) << "each leaf once";
  EXPECT_EQ(settled[0].worker, 1u);
  EXPECT_THAT(shard.weights(), ElementsAre(-0.75f, -0.75f));
}

TEST(Bsp, WhatMakesNoSenseIsCountedAndDropped) {
  struct Case {
    const char* name;
    Push push;
  };
  Push other_epoch = push_of(0, {1, 1}, 0, 1, {0, 1});
  other_epoch.rule_epoch = 1;
  const Case cases[] = {{"beyond the leaves", push_of(0, {1, 1}, 0, 1, {0, 3})},
                        {"above the root", push_of(0, {1, 1}, 0, 1, {3, 0})},
                        {"at another rate", push_of(0, {1, 1}, 0, 1, {0, 1}, 0.5)},
                        {"at no number of a rate", push_of(0, {1, 1}, 0, 1, {0, 1}, std::nan(""))},
                        {"in another rule epoch", other_epoch},
                        {"overlapping", push_of(0, {1, 1}, 0, 1, {1, 0})},
                        {"of the wrong size", push_of(0, {1}, 0, 1, {0, 1})},
                        {"of a clock before the first", push_of(-1, {1, 1}, 0, 1, {0, 1})},
                        {"of a version to come", push_of(0, {1, 1}, 1, 1, {0, 1})}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Shard shard = shard_of(3, 1);
    shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}, 0, 1, {0, 0}));
    shard.receive(envelope_of(worker_node(0)), c.push);
    EXPECT_TRUE(shard.out.messages.empty());
    EXPECT_EQ(shard.core.refused(), 1u);
    shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}, 0, 1, {0, 1}));
    shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}, 0, 1, {0, 2}));  // alone it is (1, 1)
    EXPECT_EQ(shard.sent<PushAck>().size(), 3u);
    EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, -1.0f));
  }
}

TEST(Bsp, AClockAheadIsEarly) {
  Shard shard = shard_of(1, 1);
  shard.receive(envelope_of(worker_node(0)), push_of(1, {1, 1}));
  EXPECT_TRUE(shard.out.messages.empty());
  EXPECT_EQ(shard.core.early(), 1u);
}

TEST(Bsp, EmptyLeaves) {
  Shard shard = shard_of(2, 2);
  shard.receive(envelope_of(worker_node(0)), push_of(0, {}, 0, 0, {0, 0}));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {2, 2}, 0, 2, {0, 1}));
  for (const PushAck& ack : shard.sent<PushAck>()) EXPECT_EQ(ack.fate, Fate::kApplied);
  EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, -1.0f));
  shard.receive(envelope_of(worker_node(0)), push_of(1, {}, 1, 0, {0, 0}));
  shard.receive(envelope_of(worker_node(1)), push_of(1, {}, 1, 0, {0, 1}));
  ASSERT_EQ(shard.sent<PushAck>().size(), 2u);
  expect_same(shard.sent<PushAck>()[1],
              {.clock = 1, .node = {0, 1}, .fate = Fate::kEmpty, .version = 1, .age = 0, .floor = 2});
  EXPECT_TRUE(shard.traced(TraceKind::kApply).empty());
}

TEST(Bsp, OneNonFiniteGradientDropsTheClockOfThatSlice) {
  Shard shard = shard_of(2, 2);
  const Push good = push_of(0, {1, 1}, 0, 1, {0, 0});
  shard.receive(envelope_of(worker_node(1)), push_of(0, {1, kInfinity}, 0, 1, {0, 1}));
  EXPECT_TRUE(shard.out.messages.empty());  // it is looked at when there is something to add it to
  shard.receive(envelope_of(worker_node(0)), good);
  ASSERT_EQ(shard.sent<protocol::Alarm>().size(), 1u);
  const auto alarm = shard.sent<protocol::Alarm>()[0];
  EXPECT_EQ(std::tuple(alarm.slice, alarm.worker, alarm.clock, alarm.element), std::tuple(0u, 1u, 0, 1u));
  const auto acks = shard.sent<PushAck>();
  ASSERT_EQ(acks.size(), 2u);
  for (const PushAck& ack : acks) {
    EXPECT_EQ(std::tuple(ack.fate, ack.version, ack.floor), std::tuple(Fate::kNonFinite, 0u, 1));
  }
  EXPECT_EQ(shard.core.counters().nonfinite, 1u);
  shard.receive(envelope_of(worker_node(0)), good);
  expect_same(shard.only<PushAck>(), acks[1]);
  for (std::uint32_t rank : {0u, 1u})
    shard.receive(envelope_of(worker_node(rank)), push_of(1, {1, 1}, 0, 1, {0, rank}));
  EXPECT_EQ(shard.sent<PushAck>()[0].fate, Fate::kApplied);
  EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, -1.0f));
}

TEST(Bsp, FiniteGradientsWithAnInfiniteSumAreDropped) {
  Shard shard = shard_of(2, 2);
  constexpr float kMax = std::numeric_limits<float>::max();
  shard.receive(envelope_of(worker_node(0)), push_of(0, {kMax, 0}, 0, 1, {0, 0}));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {kMax, 0}, 0, 1, {0, 1}));
  EXPECT_EQ(shard.only<protocol::Alarm>().element, protocol::Alarm::kNoElement);
  EXPECT_EQ(shard.sent<PushAck>()[0].fate, Fate::kNonFinite);
  EXPECT_THAT(shard.weights(), ElementsAre(0.0f, 0.0f));
}

TEST(Bsp, PullsWaitForTheClock) {
  Shard shard = shard_of(1, 1);
  shard.receive(envelope_of(worker_node(0)), Pull{.slice = 0, .clock = 1, .floor = 1});
  EXPECT_TRUE(shard.out.messages.empty());
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  EXPECT_EQ(shard.only<Weights>().version, 1u);
  EXPECT_EQ(shard.only<Weights>().floor, 1);
}

}  // namespace
}  // namespace rubato::server
