// A worker's steps without trouble: what is pulled, pushed and ticked, when, and in which order.
#include "tests/worker/worker_harness.h"

namespace rubato::worker {
namespace {

using protocol::Fate;
using protocol::Pull;
using protocol::Push;
using protocol::StepGrant;
using protocol::TraceKind;
using protocol::WaitKind;
using testing::ElementsAre;
using testing::IsEmpty;

// ---- joining ----------------------------------------------------------------------------------------

TEST(WorkerJoining, ConnectsToItsServersAndIsReady) {
  Worker worker;
  ASSERT_EQ(worker.sent<protocol::Register>(kSchedulerNode).size(), 1u);
  worker.scheduler(welcome_message());
  EXPECT_THAT(worker.out.connects, ElementsAre(std::pair(server_node(0), std::string("at shard 0")),
                                               std::pair(server_node(1), std::string("at shard 1"))));
  EXPECT_EQ(worker.sent<protocol::Ready>(kSchedulerNode).size(), 1u);
  EXPECT_EQ(worker.core.identity().incarnation, 1u);
  EXPECT_EQ(worker.core.routing().slices.size(), kSlices);

  worker.scheduler(welcome_message());  // again
  EXPECT_THAT(worker.out.messages, IsEmpty());
  EXPECT_THAT(worker.out.connects, IsEmpty());
}

TEST(WorkerJoining, AGrantThatOvertookTheWelcomeIsLeft) {
  Worker worker;
  worker.grant(0);
  EXPECT_THAT(worker.out.messages, IsEmpty());
  worker.join();
  worker.grant(0);
  EXPECT_EQ(worker.sent_to_servers<Pull>().size(), kSlices);
}

TEST(WorkerJoining, StartsAtTheClockOfItsFirstGrant) {
  Worker worker;
  worker.up_to_acknowledgements(7);
  worker.acknowledge_all(7);
  ASSERT_EQ(worker.ticks().size(), 1u);
  EXPECT_EQ(worker.ticks()[0].clock, 7);
}

// ---- weights ----------------------------------------------------------------------------------------

TEST(WorkerPulling, TheFirstLayersComeFirst) {
  Worker worker;
  worker.join();
  worker.bound = 3;
  worker.grant(5);
  EXPECT_THAT(worker.slices_sent<Pull>(), ElementsAre(2, 1, 0));
  for (const Pull& pull : worker.sent_to_servers<Pull>()) {
    EXPECT_EQ(pull.clock, 5);
    EXPECT_EQ(pull.floor, 2);
    EXPECT_EQ(pull.snapshot, 0u);
  }
  ASSERT_EQ(worker.orders.size(), 1u);  // the trainer is told at once, and waits for the weights itself
  EXPECT_EQ(worker.ordered<ComputeStep>()[0].step.clock, 5);
}

TEST(WorkerPulling, EachSliceGoesToTheTrainerAsItComes) {
  Worker worker;
  worker.join();
  worker.grant(0);
  worker.weights(1, 0, 0, 9);
  const auto handed = worker.ordered<SliceWeights>();
  ASSERT_EQ(handed.size(), 1u);
  EXPECT_EQ(handed[0].slice, 1u);
  EXPECT_EQ(handed[0].clock, 0);
  EXPECT_EQ(handed[0].version, 9u);
  EXPECT_EQ(handed[0].weights.floats()[0], 9.0f);
  ASSERT_EQ(worker.out.traces.size(), 1u);
  EXPECT_EQ(worker.out.traces[0].kind, TraceKind::kUse);

  worker.weights(1, 0, 0, 9);  // once only
  EXPECT_THAT(worker.orders, IsEmpty());
}

TEST(WorkerPulling, ThePullForTheNextStepIsRightBehindItsOwnPush) {
  Worker worker;
  worker.join();
  worker.bound = 1;
  worker.grant(4);
  worker.all_weights(4, 4);
  worker.gradient(0, 4);
  ASSERT_EQ(worker.out.messages.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<Push>(worker.out.messages[0].body));
  const auto& pull = std::get<Pull>(worker.out.messages[1].body);
  EXPECT_EQ(worker.out.messages[1].to, worker.out.messages[0].to);
  EXPECT_EQ(pull.slice, 0u);
  EXPECT_EQ(pull.clock, 5);
  EXPECT_EQ(pull.floor, 4);
}

TEST(WorkerPulling, WithSeveralNodesBehindTheLastOfThem) {
  Worker worker;
  worker.join();
  StepGrant step = worker.step(0);
  step.leaves = 4;
  step.nodes = {{0, 0}, {0, 1}};
  worker.grant({step});
  worker.all_weights(0, 0);
  worker.gradient(0, 0, {0, 0});
  EXPECT_THAT(worker.slices_sent<Pull>(), IsEmpty());
  worker.gradient(0, 0, {0, 1});
  EXPECT_THAT(worker.slices_sent<Pull>(), ElementsAre(0));
}

TEST(WorkerPulling, NothingBehindTheLastStep) {
  Worker worker;
  worker.join();
  StepGrant step = worker.step(0);
  step.last = true;
  worker.grant({step});
  worker.all_weights(0, 0);
  worker.gradient(0, 0);
  EXPECT_EQ(worker.out.messages.size(), 1u);
}

TEST(WorkerPulling, WeightsThatCameAheadServeTheNextStep) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.all_weights(1, 1);
  EXPECT_THAT(worker.orders, IsEmpty());  // step 1 is not granted
  worker.acknowledge_all(0);
  worker.grant(1, 1);
  EXPECT_EQ(worker.ordered<ComputeStep>().size(), 1u);
  EXPECT_EQ(worker.ordered<SliceWeights>().size(), kSlices);
  EXPECT_THAT(worker.out.messages, IsEmpty());
}

// Rule 4: weights serve step c only if floor >= c - bound.
TEST(WorkerPulling, FloorsDecideWhichWeightsServe) {
  struct Case {
    std::int64_t bound;
    Clock clock;
    std::int64_t floor;
    bool serves;
  };
  constexpr std::int64_t kNone = StepGrant::kUnbounded;
  for (const Case& test :
       {Case{0, 5, 5, true}, Case{0, 5, 4, false}, Case{0, 5, 6, true}, Case{0, 0, 0, true}, Case{2, 5, 3, true},
        Case{2, 5, 2, false}, Case{2, 1, 0, true}, Case{9, 5, 0, true}, Case{kNone, 5, 0, true}}) {
    for (const bool ahead : {false, true}) {  // asked for behind the push of the step before
      SCOPED_TRACE(fmt::format("bound {} clock {} floor {} ahead {}", test.bound, test.clock, test.floor, ahead));
      Worker worker;
      if (ahead) {
        if (test.clock == 0) continue;
        worker.up_to_acknowledgements(test.clock - 1);
        worker.acknowledge_all(test.clock - 1);
        worker.weights(1, test.clock, test.floor);
      } else {
        worker.join();
      }
      worker.bound = test.bound;
      worker.grant(test.clock, test.clock);
      if (!ahead) worker.weights(1, test.clock, test.floor);
      EXPECT_EQ(worker.ordered<SliceWeights>().size(), test.serves ? 1u : 0u);
      if (test.serves) continue;
      ASSERT_THAT(worker.slices_sent<Pull>(), ElementsAre(1));
      EXPECT_EQ(worker.sent_to_servers<Pull>()[0].floor, test.clock - test.bound);
      worker.weights(1, test.clock, test.clock - test.bound);
      EXPECT_EQ(worker.ordered<SliceWeights>().size(), 1u);
    }
  }
}

TEST(WorkerPulling, WhatWasNotAskedForIsLeft) {
  Worker worker;
  worker.join();
  worker.grant(3);
  worker.weights(1, 2, 3);  // of another step
  EXPECT_THAT(worker.orders, IsEmpty());
  worker.receive(server_node(1), protocol::Weights{1, 3, 0, 3, 8, floats_payload(1)});  // of a snapshot
  EXPECT_THAT(worker.orders, IsEmpty());
  worker.receive(server_node(1), protocol::Weights{1, 3, 0, 3, 0, floats_payload(1, kFloats - 1)});
  EXPECT_THAT(worker.orders, IsEmpty());
  worker.receive(server_node(1), protocol::Weights{99, 3, 0, 3, 0, floats_payload(1)});
  EXPECT_THAT(worker.orders, IsEmpty());
  worker.receive(worker_node(0), protocol::Weights{1, 3, 0, 3, 0, floats_payload(1)});
  EXPECT_THAT(worker.orders, IsEmpty());
  worker.weights(1, 3, 3);
  EXPECT_EQ(worker.ordered<SliceWeights>().size(), 1u);
}

// ---- gradients and ticks ----------------------------------------------------------------------------

TEST(WorkerPushing, APushEchoesItsVersionAndItsRules) {
  Worker worker;
  worker.join();
  worker.grant(0);
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.weights(slice, 0, 0, 20 + slice);
  worker.gradient(2, 0, {0, 0});
  const auto pushes = worker.sent_to_servers<Push>();
  ASSERT_EQ(pushes.size(), 1u);
  EXPECT_EQ(pushes[0].slice, 2u);
  EXPECT_EQ(pushes[0].clock, 0);
  EXPECT_EQ(pushes[0].samples, 8u);
  EXPECT_EQ(pushes[0].version, 22u);
  EXPECT_EQ(pushes[0].rule_epoch, 1u);
  EXPECT_EQ(pushes[0].rate, 0.5);
  EXPECT_EQ(pushes[0].gradient.floats()[0], 2.0f);
  ASSERT_EQ(worker.out.traces.size(), 1u);
  EXPECT_EQ(worker.out.traces[0].kind, TraceKind::kPush);
}

// Of the acknowledgements and the word that the step is computed, the last brings the tick, whichever it is.
TEST(WorkerTicking, ATickComesWithTheLastOfAll) {
  for (SliceId computed_after = 0; computed_after <= kSlices; ++computed_after) {
    Worker worker;
    worker.join();
    worker.grant(0);
    worker.all_weights(0, 0);
    for (SliceId slice = 0; slice < kSlices; ++slice) worker.gradient(slice, 0);
    for (SliceId event = 0; event <= kSlices; ++event) {
      EXPECT_THAT(worker.ticks(), IsEmpty());
      if (event == computed_after)
        worker.computed(0);
      else
        worker.acknowledge(event < computed_after ? event : event - 1, 0);
    }
    EXPECT_EQ(worker.ticks().size(), 1u) << computed_after;
  }
}

TEST(WorkerTicking, ATickSaysWhatBecameOfTheStep) {
  Worker worker;
  worker.join();
  worker.now += 30;
  worker.grant(0);
  worker.now += 1000;
  worker.all_weights(0, 0);
  worker.compute(0);
  worker.acknowledge(0, 0, Fate::kApplied, 4);
  worker.acknowledge(0, 0, Fate::kApplied, 4);  // twice counts once
  worker.acknowledge(1, 0, Fate::kNonFinite);
  worker.now += 500;
  worker.acknowledge(2, 0, Fate::kApplied, 4);
  ASSERT_EQ(worker.ticks().size(), 1u);
  const protocol::Tick tick = worker.ticks()[0];
  EXPECT_EQ(tick.clock, 0);
  EXPECT_EQ(tick.samples, 8u);
  EXPECT_EQ(tick.correct, 5.0);
  EXPECT_EQ(tick.loss_sum, 2.5);
  EXPECT_EQ(tick.dropped, 1u);
  ASSERT_EQ(tick.ages.size(), 1u);
  EXPECT_EQ(tick.ages[0].age, 4u);
  EXPECT_EQ(tick.ages[0].count, 2u);
  EXPECT_EQ(tick.step_ns, 1500u);
  EXPECT_EQ(tick.wait_ns, 33u);  // for the grant, and the 3 that the trainer says
}

TEST(WorkerTicking, EmptyPushesSettleToo) {
  Worker worker;
  worker.join();
  worker.grant(0);
  worker.all_weights(0, 0);
  for (SliceId slice = 0; slice < kSlices; ++slice) {
    worker.report(SliceGradient{0, slice, {}, 0, {}});
    const auto pushes = worker.sent_to_servers<Push>();
    ASSERT_EQ(pushes.size(), 1u);
    EXPECT_TRUE(pushes[0].gradient.empty());
  }
  worker.report(StepComputed{0, 0, 0, 0.0, 0});
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.acknowledge(slice, 0, Fate::kEmpty);
  ASSERT_EQ(worker.ticks().size(), 1u);
  EXPECT_THAT(worker.ticks()[0].ages, IsEmpty());
  EXPECT_EQ(worker.ticks()[0].dropped, 0u);
}

// ---- two steps at a time ----------------------------------------------------------------------------

// Rule 2: a worker has one unsettled clock. What it computes meanwhile is held.
TEST(WorkerAhead, PushesOfTheNextStepWaitForTheLastAcknowledgement) {
  Worker worker;
  worker.join();
  worker.grant({worker.step(0), worker.step(1)});
  EXPECT_EQ(worker.ordered<ComputeStep>().size(), 1u);  // one at a time
  worker.all_weights(0, 0);
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.gradient(slice, 0);
  worker.computed(0);
  ASSERT_EQ(worker.ordered<ComputeStep>().size(), 1u);  // computed is enough to begin
  EXPECT_EQ(worker.ordered<ComputeStep>()[0].step.clock, 1);
  worker.all_weights(1, 0);
  worker.gradient(0, 1);
  worker.gradient(1, 1);
  EXPECT_THAT(worker.out.messages, IsEmpty());

  worker.acknowledge(0, 0);
  worker.acknowledge(2, 0);
  EXPECT_THAT(worker.out.messages, IsEmpty());
  worker.acknowledge(1, 0);
  EXPECT_EQ(worker.ticks().size(), 1u);
  EXPECT_THAT(worker.slices_sent<Push>(), ElementsAre(0, 1));
  EXPECT_THAT(worker.slices_sent<Pull>(), ElementsAre(0, 1));
  worker.gradient(2, 1);
  EXPECT_THAT(worker.slices_sent<Push>(), ElementsAre(2));
  worker.computed(1);
  worker.acknowledge_all(1);
  ASSERT_EQ(worker.ticks().size(), 1u);
  EXPECT_EQ(worker.ticks()[0].clock, 1);
}

TEST(WorkerAhead, AThirdStepWaits) {
  Worker worker;
  worker.join();
  worker.grant({worker.step(0), worker.step(1), worker.step(2)});
  worker.all_weights(0, 0);
  worker.compute(0);
  worker.all_weights(1, 0);
  worker.compute(1);
  EXPECT_THAT(worker.ordered<ComputeStep>(), IsEmpty());
  worker.acknowledge_all(0);
  ASSERT_EQ(worker.ordered<ComputeStep>().size(), 1u);
  EXPECT_EQ(worker.ordered<ComputeStep>()[0].step.clock, 2);
}

// ---- who waits for what -----------------------------------------------------------------------------

TEST(WorkerWaiting, SaysForWhat) {
  Worker worker;
  worker.join();
  EXPECT_EQ(worker.waiting().kind, WaitKind::kGrant);

  worker.grant(0);
  worker.weights(2, 0, 0);
  protocol::Waiting waiting = worker.waiting();
  EXPECT_EQ(waiting.kind, WaitKind::kWeights);
  EXPECT_EQ(waiting.slice, 1u);  // the next that forward wants
  EXPECT_EQ(waiting.clock, 0);
  EXPECT_GE(waiting.for_ns, static_cast<std::uint64_t>(worker.timing.heartbeat / 2));

  worker.weights(1, 0, 0);
  worker.weights(0, 0, 0);
  EXPECT_EQ(worker.waiting().kind, WaitKind::kNothing);  // it computes

  worker.compute(0);
  worker.acknowledge(0, 0);
  waiting = worker.waiting();
  EXPECT_EQ(waiting.kind, WaitKind::kAcknowledgement);
  EXPECT_EQ(waiting.slice, 1u);

  worker.acknowledge(1, 0);
  worker.acknowledge(2, 0);
  waiting = worker.waiting();
  EXPECT_EQ(waiting.kind, WaitKind::kGrant);
  EXPECT_EQ(waiting.clock, 1);

  StepGrant step = worker.step(1);
  step.last = true;
  worker.grant({step}, 1);
  worker.all_weights(1, 1);
  worker.compute(1);
  worker.acknowledge_all(1);
  EXPECT_EQ(worker.waiting().kind, WaitKind::kNothing);
}

// Who computes waits for nobody; how long ago it last got on tells it from one that stands still.
TEST(WorkerWaiting, WhoComputesSaysSinceWhenNothingHasComeOfIt) {
  Worker worker;
  worker.join();
  worker.grant(0);
  worker.all_weights(0, 0);
  TimeNs moved = worker.now;
  const auto expect_still_since = [&] {
    for (int beats = 1; beats < 4; ++beats) {
      const protocol::Waiting waiting = worker.waiting();
      EXPECT_EQ(waiting.kind, WaitKind::kNothing);
      EXPECT_LE(waiting.for_ns, static_cast<std::uint64_t>(worker.now - moved));
      EXPECT_GE(waiting.for_ns + static_cast<std::uint64_t>(worker.timing.heartbeat),
                static_cast<std::uint64_t>(worker.now - moved));
    }
  };
  expect_still_since();
  worker.gradient(2, 0);
  moved = worker.now;
  expect_still_since();
  worker.acknowledge(2, 0);
  moved = worker.now;
  expect_still_since();
  worker.report(StillComputing{});
  moved = worker.now;
  expect_still_since();
}

}  // namespace
}  // namespace rubato::worker
