// A shard that applies pushes as they arrive (ssp, asp): fates, repeats, fences, ages, floors, pulls.
#include <cmath>
#include <limits>

#include "kernels/cpu/apply_rule.h"
#include "kernels/initialize.h"
#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Fate;
using protocol::Pull;
using protocol::PushAck;
using protocol::TraceKind;
using protocol::Weights;
using testing::ElementsAre;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Shard shard_of(std::uint32_t count, std::int64_t elements = 2) {
  return Shard(job_of("ssp:3"), elements, workers(count));
}

TEST(OnArrival, EachPushIsOneUpdateWithItsOwnRateAndSamples) {
  Shard shard = shard_of(2);
  shard.receive(envelope_of(worker_node(0), 1, 77), push_of(0, {4, -8}, 0, 4, {}, 0.5));
  expect_same(shard.only<PushAck>(),
              {.clock = 0, .node = {}, .fate = Fate::kApplied, .version = 1, .age = 0, .floor = 0});
  EXPECT_EQ(shard.out.messages.front().via, 77u);
  EXPECT_THAT(shard.weights(), ElementsAre(-0.5f, 1.0f));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {1, 1}, 0, 1, {}, 1.0));
  expect_same(shard.only<PushAck>(),
              {.clock = 0, .node = {}, .fate = Fate::kApplied, .version = 2, .age = 1, .floor = 1});
  EXPECT_THAT(shard.weights(), ElementsAre(-1.5f, 0.0f));
  EXPECT_EQ(shard.core.counters().pushes, 2u);
  EXPECT_EQ(shard.core.counters().version_max, 2u);
}

TEST(OnArrival, ARepeatGetsTheIdenticalAnswerAndChangesNothing) {
  Shard shard = shard_of(2);
  const auto push = push_of(0, {1, 2});
  shard.receive(envelope_of(worker_node(0)), push);
  const PushAck first = shard.only<PushAck>();
  shard.receive(envelope_of(worker_node(1)), push_of(0, {5, 5}));  // moves version and floor on
  const auto before = shard.weights();
  for (std::uint64_t repeat = 1; repeat <= 3; ++repeat) {
    shard.receive(envelope_of(worker_node(0), 1, repeat), push);
    expect_same(shard.only<PushAck>(), first);
    EXPECT_EQ(shard.out.messages.front().via, repeat);
    EXPECT_EQ(shard.traced(TraceKind::kRepeat).size(), 1u);
    EXPECT_TRUE(shard.traced(TraceKind::kSettle).empty());
    EXPECT_EQ(shard.core.counters().repeated, repeat);
  }
  EXPECT_EQ(shard.weights(), before);
}

// The mean over n samples has the weight n / train.batch; decay has none.
TEST(OnArrival, APushOfALeaseCountsByItsSamples) {
  Job job = job_of("ssp:1");
  job.train.batch = 8;
  job.optimizer.weight_decay = 0.5;
  for (const bool leased : {false, true}) {
    job.data.shards = leased ? "leased" : "static";
    Shard shard(job, 2, workers(1));
    shard.receive(envelope_of(worker_node(0)), push_of(0, {4, -4}, 0, 4));
    const float step = leased ? 0.5f : 1.0f;
    EXPECT_THAT(shard.weights(), ElementsAre(-step, step)) << "the mean is 1";
    shard.receive(envelope_of(worker_node(0)), push_of(1, {0, 0}, 1, 4));
    EXPECT_THAT(shard.weights(), ElementsAre(-step / 2, step / 2));
  }
}

TEST(OnArrival, AnOlderRepeatIsDroppedAndAClockAheadIsEarly) {
  Shard shard = shard_of(1);
  for (Clock clock = 0; clock < 3; ++clock)
    shard.receive(envelope_of(worker_node(0)), push_of(clock, {1, 1}, static_cast<Version>(clock)));
  shard.receive(envelope_of(worker_node(0)), push_of(1, {1, 1}));
  EXPECT_TRUE(shard.out.messages.empty());
  EXPECT_EQ(shard.core.counters().repeated, 1u);
  for (Clock clock : {Clock{4}, std::numeric_limits<Clock>::max()}) {
    shard.receive(envelope_of(worker_node(0)), push_of(clock, {1, 1}));
    EXPECT_TRUE(shard.out.messages.empty());
  }
  EXPECT_EQ(shard.core.early(), 2u);
  EXPECT_THAT(shard.weights(), ElementsAre(-3.0f, -3.0f));
}

TEST(OnArrival, FatesWithoutAnUpdate) {
  struct Case {
    const char* name;
    protocol::Push push;
    Fate fate;
    const char* spoiled = "";
  };
  const Case cases[] = {{"no gradient", push_of(0, {}, 0, 8), Fate::kEmpty},
                        {"no samples", push_of(0, {1, 1}, 0, 0), Fate::kEmpty},
                        {"NaN", push_of(0, {1, kNaN}), Fate::kNonFinite, "w[1]"},
                        {"infinity", push_of(0, {-kInfinity, 1}), Fate::kNonFinite, "w[0]"}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Shard shard = shard_of(1);
    shard.receive(envelope_of(worker_node(0)), c.push);
    expect_same(shard.only<PushAck>(), {.clock = 0, .node = {}, .fate = c.fate, .version = 0, .age = 0, .floor = 1});
    const auto alarms = shard.sent<protocol::Alarm>();
    EXPECT_EQ(alarms.size(), c.fate == Fate::kNonFinite ? 1u : 0u);
    EXPECT_EQ(shard.core.counters().nonfinite, alarms.size());
    if (!alarms.empty()) {
      EXPECT_NE(shard.out.notes.front().text.find(c.spoiled), std::string::npos);
    }
    EXPECT_THAT(shard.weights(), ElementsAre(0.0f, 0.0f));
    shard.receive(envelope_of(worker_node(0)), c.push);
    expect_same(shard.only<PushAck>(), {.clock = 0, .node = {}, .fate = c.fate, .version = 0, .age = 0, .floor = 1});
    EXPECT_TRUE(shard.sent<protocol::Alarm>().empty());
    shard.receive(envelope_of(worker_node(0)), push_of(1, {1, 1}));
    expect_same(shard.only<PushAck>(),
                {.clock = 1, .node = {}, .fate = Fate::kApplied, .version = 1, .age = 0, .floor = 2});
  }
}

TEST(OnArrival, WhatMakesNoSenseIsCountedAndDropped) {
  struct Case {
    const char* name;
    NodeId from;
    protocol::Push push;
  };
  const Case cases[] = {{"too short", worker_node(0), push_of(0, {1})},
                        {"too long", worker_node(0), push_of(0, {1, 2, 3})},
                        {"a clock before the first", worker_node(0), push_of(-1, {1, 1})},
                        {"a version to come", worker_node(0), push_of(0, {1, 1}, 1)},
                        {"another's slice", worker_node(0), push_of(0, {1, 1}, 0, 1, {}, 1.0, 1)},
                        {"a slice nobody has", worker_node(0), push_of(0, {1, 1}, 0, 1, {}, 1.0, ~0u)},
                        {"from an evaluator", evaluator_node(0), push_of(0, {1, 1})},
                        {"from a server", server_node(0), push_of(0, {1, 1})}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Shard shard = shard_of(1);
    shard.receive(envelope_of(c.from), c.push);
    EXPECT_TRUE(shard.out.messages.empty());
    EXPECT_EQ(shard.out.notes.size(), 1u);
    shard.receive(envelope_of(c.from), c.push);
    EXPECT_TRUE(shard.out.notes.empty()) << "said once for each peer";
    EXPECT_EQ(shard.core.refused(), 2u);
    shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
    EXPECT_EQ(shard.only<PushAck>().fate, Fate::kApplied);
  }
}

TEST(OnArrival, ASealCountsTheSlicesThatHaveTheNewestStep) {
  const protocol::Manifest manifest = {zeros("a", 2), zeros("b", 2)};
  Shard shard(job_of("asp"), manifest, {{0, {{0, 0, 2}}}, {0, {{1, 0, 2}}}}, {{0, 1, 0}});
  for (SliceId slice : {0u, 1u}) shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}, 0, 1, {}, 1.0, slice));
  shard.receive(envelope_of(worker_node(0)), push_of(1, {1, 1}, 1, 1, {}, 1.0, 1));
  shard.scheduler(protocol::Seal{0, 1});
  const auto torn = shard.only<protocol::Sealed>();
  EXPECT_EQ(std::tuple(torn.highest, torn.settled, torn.slices), std::tuple(1, 1u, 2u)) << "step 1 reached one of two";
  const auto traced = shard.traced(TraceKind::kSealed);
  ASSERT_EQ(traced.size(), 1u);
  EXPECT_EQ(std::tuple(traced[0].worker, traced[0].life, traced[0].clock, traced[0].count, traced[0].slice),
            std::tuple(0u, 1u, 1, 1u, 2u));
}

TEST(OnArrival, TheSealedAndTheGoneAreFencedAndTheUnknownWait) {
  Shard shard = shard_of(2);
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  shard.scheduler(protocol::Seal{0, 1});
  const auto sealed = shard.only<protocol::Sealed>();
  EXPECT_EQ(std::tuple(sealed.rank, sealed.incarnation, sealed.highest, sealed.settled, sealed.slices),
            std::tuple(0u, 1u, 0, 1u, 1u));
  for (Clock clock : {0, 1}) {
    shard.receive(envelope_of(worker_node(0)), push_of(clock, {1, 1}));
    EXPECT_EQ(shard.only<PushAck>().fate, Fate::kFenced);
    EXPECT_EQ(shard.only<PushAck>().clock, clock);
  }
  EXPECT_EQ(shard.core.counters().fenced, 2u);
  shard.scheduler(protocol::Seal{0, 1});
  EXPECT_EQ(shard.only<protocol::Sealed>().highest, 0) << "idempotent";

  // Its next life: unknown until the scheduler names it, and starting above what was sealed.
  shard.receive(envelope_of(worker_node(0), 2), push_of(3, {1, 1}));
  EXPECT_TRUE(shard.out.messages.empty());
  EXPECT_EQ(shard.core.early(), 1u);
  shard.membership(2, {{0, 2, 3}, {1, 1, 0}});
  shard.receive(envelope_of(worker_node(0), 2), push_of(1, {1, 1}));
  EXPECT_TRUE(shard.out.messages.empty()) << "below its start";
  shard.receive(envelope_of(worker_node(0), 2), push_of(3, {1, 1}));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kApplied);
  shard.receive(envelope_of(worker_node(0), 1), push_of(1, {1, 1}));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kFenced);
}

TEST(OnArrival, OnlyANewerMembershipCounts) {
  Shard shard = shard_of(2);
  shard.membership(3, workers(1));
  shard.membership(2, workers(2));
  shard.membership(3, workers(2));
  EXPECT_EQ(shard.core.identity().generation, 3u);
  shard.receive(envelope_of(worker_node(1)), push_of(0, {1, 1}));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kFenced);
  shard.membership(4, {{0, 1, -5}});
  shard.membership(5, {{0, 1, std::numeric_limits<Clock>::max()}});
  EXPECT_EQ(shard.core.refused(), 2u);
  EXPECT_EQ(shard.core.identity().generation, 3u);
}

TEST(OnArrival, PullsWaitForTheirFloor) {
  Shard shard = shard_of(2);
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  shard.receive(envelope_of(worker_node(0), 1, 5), Pull{.slice = 0, .clock = 4, .floor = 1});
  EXPECT_TRUE(shard.out.messages.empty());
  shard.receive(envelope_of(worker_node(1)), push_of(0, {1, 1}));
  const Weights answer = shard.only<Weights>();
  EXPECT_EQ(std::tuple(answer.clock, answer.version, answer.floor), std::tuple(4, 2u, 1));
  EXPECT_EQ(shard.out.messages.back().via, 5u);
  EXPECT_EQ(shard.out.messages.back().to, worker_node(0));
  const auto served = shard.traced(TraceKind::kServe);
  ASSERT_EQ(served.size(), 1u);
  EXPECT_EQ(std::tuple(served[0].worker, served[0].version, served[0].floor, served[0].wanted),
            std::tuple(0u, 2u, 1, 1));
  shard.receive(envelope_of(worker_node(1)), Pull{.slice = 0, .clock = 1, .floor = 1});
  EXPECT_EQ(shard.only<Weights>().version, 2u) << "at once";
}

TEST(OnArrival, OneParkedPullForEachRequesterTheNewestWins) {
  Shard shard = shard_of(2);
  shard.receive(envelope_of(worker_node(0), 1, 1), Pull{.slice = 0, .clock = 4, .floor = 1});
  shard.receive(envelope_of(worker_node(0), 1, 2), Pull{.slice = 0, .clock = 5, .floor = 1});
  shard.receive(envelope_of(worker_node(0), 1, 3), Pull{.slice = 0, .clock = 4, .floor = 1});
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {1, 1}));
  EXPECT_EQ(shard.only<Weights>().clock, 5);
  EXPECT_EQ(shard.out.messages.back().via, 2u);
}

TEST(OnArrival, ADeathLiftsTheFloorAndDropsItsPulls) {
  Shard shard = shard_of(3);
  for (std::uint32_t rank : {0u, 1u}) shard.receive(envelope_of(worker_node(rank)), push_of(0, {1, 1}));
  for (std::uint32_t rank : {0u, 2u})
    shard.receive(envelope_of(worker_node(rank)), Pull{.slice = 0, .clock = 1, .floor = 1});
  EXPECT_TRUE(shard.out.messages.empty());
  shard.membership(2, workers(2));
  EXPECT_EQ(shard.only<Weights>().floor, 1);
  EXPECT_EQ(shard.out.messages.front().to, worker_node(0));
  EXPECT_EQ(shard.traced(TraceKind::kInactive).size(), 1u);
  shard.receive(envelope_of(worker_node(2)), Pull{.slice = 0, .clock = 1, .floor = 0});
  EXPECT_TRUE(shard.out.messages.empty()) << "the dead read nothing";
}

TEST(OnArrival, WithAllWorkersGoneWhoWaitsIsServed) {
  Shard shard = shard_of(1);
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  shard.receive(envelope_of(evaluator_node(0)), Pull{.slice = 0, .clock = 9, .floor = 9});
  EXPECT_TRUE(shard.out.messages.empty());
  shard.membership(2, {});
  EXPECT_EQ(shard.only<Weights>().floor, 1);
}

TEST(OnArrival, APulledVersionStaysWhileOthersAreMade) {
  Shard shard = shard_of(1);
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 2}));
  const Payload kept = shard.look().weights;
  for (Clock clock = 1; clock <= 100; ++clock)
    shard.receive(envelope_of(worker_node(0)), push_of(clock, {1, 2}, static_cast<Version>(clock)));
  EXPECT_THAT(floats_of(kept), ElementsAre(-1.0f, -2.0f));
  EXPECT_THAT(shard.weights(), ElementsAre(-101.0f, -202.0f));
}

// Nobody ever lets go of an answer: beyond the bound on pins they are copies, and updates go on.
TEST(OnArrival, ReadersThatKeepEverythingDoNotStopUpdates) {
  Shard shard = shard_of(1);
  std::vector<Payload> kept;
  for (Clock clock = 0; clock < 200; ++clock) {
    kept.push_back(shard.look().weights);
    shard.receive(envelope_of(worker_node(0)), push_of(clock, {1, 1}, static_cast<Version>(clock)));
    EXPECT_EQ(shard.only<PushAck>().fate, Fate::kApplied);
  }
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(floats_of(kept[i])[0], -static_cast<float>(i));
}

TEST(OnArrival, StateAndRuleExceptionsFollowTheManifest) {
  Job job = job_of("asp");
  job.optimizer.name = "adamw";
  job.optimizer.weight_decay = 0.1;
  job.optimizer.clip_value = 0.5;
  ParameterSpec weight = zeros("w", 20), bias = zeros("b", 3);
  weight.initializer = {InitializerKind::kUniform, 0.5f};
  bias.initializer = {InitializerKind::kOnes, 0.0f};
  bias.decay = 0.0;
  bias.rate_scale = 2.0;
  Shard shard(job);
  shard.welcome({weight, bias}, {{0, {{1, 0, 3}}}, {0, {{0, 0, 12}}}, {0, {{0, 12, 8}}}}, workers(1));

  const kernels::RuleConfig rule = kernels::make_rule(job.optimizer).value();
  struct Expected {
    SliceId slice;
    const ParameterSpec* spec;
    std::int64_t first;
    std::size_t count;
  };
  for (const Expected& e : {Expected{0, &bias, 0, 3}, Expected{1, &weight, 0, 12}, Expected{2, &weight, 12, 8}}) {
    std::vector<float> w(e.count), m(e.count), v(e.count);
    kernels::initialize(*e.spec, job.train.seed, e.first, w);
    EXPECT_EQ(shard.weights(e.slice), w);
    for (Clock clock = 0; clock < 5; ++clock) {
      std::vector<float> gradient(e.count);
      for (std::size_t i = 0; i < e.count; ++i)
        gradient[i] = std::sin(static_cast<float>(i) + static_cast<float>(clock));
      const kernels::SlotView view{w, {m, v}};
      kernels::cpu::apply_rule(
          rule, kernels::update_scalars(rule, *e.spec, 0.01, 1.0 / 2, static_cast<std::uint64_t>(clock) + 1), view,
          gradient, view);
      shard.receive(envelope_of(worker_node(0)),
                    push_of(clock, gradient, static_cast<Version>(clock), 2, {}, 0.01, e.slice));
      EXPECT_EQ(shard.weights(e.slice), w);
    }
  }
}

}  // namespace
}  // namespace rubato::server
