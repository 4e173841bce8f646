// A worker among losses, repeats and deaths.
#include "protocol/codec.h"
#include "tests/worker/worker_harness.h"

namespace rubato::worker {
namespace {

using protocol::Fate;
using protocol::LeafNode;
using protocol::Pull;
using protocol::Push;
using protocol::StepGrant;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- said again until it is answered ----------------------------------------------------------------

// Times, relative to the first, at which messages of one kind are said again within 40 resend waits.
template <typename M>
std::vector<TimeNs> repeats(Worker& worker, const std::function<bool(const M&)>& counts) {
  const TimeNs began = worker.now, wait = worker.timing.resend_after;
  std::vector<TimeNs> times;
  for (int tenth = 1; tenth <= 400; ++tenth) {
    worker.run_to(began + tenth * wait / 10);
    for (const auto& message : worker.out.messages)
      if (const M* body = std::get_if<M>(&message.body); body && counts(*body)) times.push_back(worker.now - began);
  }
  return times;
}

// The waits double from resend_after up to eight times that; each may be a quarter of it late.
void expect_doubling(const std::vector<TimeNs>& times, TimeNs wait) {
  ASSERT_GE(times.size(), 6u);
  TimeNs due = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const TimeNs step = wait * std::min<TimeNs>(TimeNs{1} << i, 8);
    EXPECT_GE(times[i], due + step) << "repeat " << i;
    EXPECT_LE(times[i], due + step + wait / 2) << "repeat " << i;
    due = times[i];
  }
}

TEST(WorkerResending, APullUntilTheWeightsCome) {
  Worker worker;
  worker.join();
  worker.grant(0);
  expect_doubling(repeats<Pull>(worker, [](const Pull& pull) { return pull.slice == 1; }), worker.timing.resend_after);
  worker.weights(1, 0, 0);
  EXPECT_THAT(repeats<Pull>(worker, [](const Pull& pull) { return pull.slice == 1; }), IsEmpty());
}

TEST(WorkerResending, APushUntilItIsAcknowledged) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.all_weights(1, 0);
  expect_doubling(repeats<Push>(worker, [](const Push& push) { return push.slice == 1; }), worker.timing.resend_after);
  worker.acknowledge(1, 0);
  EXPECT_THAT(repeats<Push>(worker, [](const Push& push) { return push.slice == 1; }), IsEmpty());
}

// A shard that answers has not lost what stands behind: of a large model it waits in the socket for longer than that.
TEST(WorkerResending, NothingWhileItsShardAnswersOthers) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.all_weights(1, 0);
  const TimeNs began = worker.now, wait = worker.timing.resend_after;
  worker.run_to(began + 9 * wait / 10);
  worker.acknowledge(0, 0);
  worker.run_to(began + 18 * wait / 10);
  EXPECT_THAT(worker.slices_sent<Push>(), ElementsAre(1)) << "shard 1 has said nothing, shard 0 has";
  worker.acknowledge(0, 0);  // said twice: nothing new
  worker.run_to(began + 22 * wait / 10);
  EXPECT_THAT(worker.slices_sent<Push>(), ElementsAre(2)) << "shard 0 has been silent for as long";
}

TEST(WorkerResending, WeightsThatComeAreAnAnswerToo) {
  Worker worker;
  worker.join();
  worker.grant(0);
  const TimeNs began = worker.now, wait = worker.timing.resend_after;
  worker.run_to(began + 9 * wait / 10);
  worker.weights(2, 0, 0);
  worker.run_to(began + 18 * wait / 10);
  EXPECT_THAT(worker.slices_sent<Pull>(), ElementsAre(1));
  worker.run_to(began + 22 * wait / 10);
  EXPECT_THAT(worker.slices_sent<Pull>(), ElementsAre(0));
}

TEST(WorkerResending, ATickUntilTheSchedulerShowsThatItCame) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.acknowledge_all(0);
  const auto any = [](const protocol::Tick&) { return true; };
  expect_doubling(repeats<protocol::Tick>(worker, any), worker.timing.resend_after);
  worker.beat.clock = 1;
  EXPECT_THAT(repeats<protocol::Tick>(worker, any), IsEmpty());
}

// ---- a server that comes back -----------------------------------------------------------------------

protocol::Welcome moved(std::uint32_t route, std::vector<std::string> addresses) {
  protocol::Welcome welcome = welcome_message();
  welcome.routing.route = route;
  welcome.routing.addresses = std::move(addresses);
  return welcome;
}

TEST(WorkerAndServerThatReturns, AllThatIsNotAnsweredIsAskedAgainAtOnce) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.acknowledge(0, 0);
  worker.weights(0, 1, 0, 1);
  const auto before = worker.sent_to_servers<Push>();
  worker.scheduler(moved(2, {"at shard 0", "elsewhere"}));
  ASSERT_EQ(worker.out.connects.size(), 1u) << "the other one is where it was";
  EXPECT_EQ(worker.out.connects[0].first, server_node(1));
  EXPECT_EQ(worker.out.connects[0].second, "elsewhere");
  EXPECT_THAT(worker.slices_sent<Push>(), ElementsAre(1, 2));
  EXPECT_THAT(worker.slices_sent<Pull>(), ElementsAre(1, 2));
  EXPECT_EQ(worker.core.identity().route, 2u);
  EXPECT_EQ(worker.core.identity().incarnation, 1u);
  worker.acknowledge(1, 0);
  worker.acknowledge(2, 0);
  EXPECT_EQ(worker.ticks().size(), 1u);
}

TEST(WorkerAndServerThatReturns, AtTheSameAddressTheConnectionIsMadeAgainByItself) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.scheduler(moved(2, {"at shard 0", "at shard 1"}));
  EXPECT_TRUE(worker.out.connects.empty());
  EXPECT_EQ(worker.slices_sent<Push>().size(), kSlices);
}

TEST(WorkerAndServerThatReturns, WhatItKnowsOrIsOfAnotherLifeChangesNothing) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.scheduler(moved(2, {"at shard 0", "elsewhere"}));
  worker.scheduler(moved(2, {"at shard 0", "elsewhere"}));
  EXPECT_TRUE(worker.out.messages.empty());
  worker.scheduler(moved(1, {"at shard 0", "at shard 1"}));
  EXPECT_TRUE(worker.out.messages.empty());
  protocol::Welcome other = moved(3, {"nowhere", "nowhere"});
  other.incarnation = 2;
  worker.scheduler(other);
  EXPECT_TRUE(worker.out.messages.empty());
  EXPECT_TRUE(worker.out.connects.empty());
}

// As they go out; the sequence number, which counts frames, is the sender's.
std::vector<std::byte> bytes_of(const Push& push) {
  const transport::Frame frame = protocol::encode({}, push);
  std::vector<std::byte> bytes(frame.header.bytes().begin(), frame.header.bytes().end());
  bytes.insert(bytes.end(), frame.body.bytes().begin(), frame.body.bytes().end());
  return bytes;
}

// Rule 2: the identical bytes, also when the trainer has gone on and newer weights are there.
TEST(WorkerResending, ThePushIsTheSameToTheLastByte) {
  Worker worker;
  worker.join();
  worker.grant({worker.step(0), worker.step(1)});
  worker.all_weights(0, 0, 5);
  worker.gradient(1, 0);
  const Push first = worker.sent_to_servers<Push>().at(0);
  worker.gradient(0, 0);
  worker.gradient(2, 0);
  worker.computed(0);
  worker.all_weights(1, 0, 6);  // step 1 begins, on these
  worker.gradient(1, 1);
  worker.run_to(worker.now + 2 * worker.timing.resend_after);
  int again = 0;
  for (const Push& push : worker.sent_to_servers<Push>()) {
    EXPECT_EQ(push.clock, 0);
    if (push.slice != 1) continue;
    ++again;
    EXPECT_THAT(bytes_of(push), ElementsAreArray(bytes_of(first)));
  }
  EXPECT_GE(again, 1);
}

TEST(WorkerResending, TicksAreConfirmedByBeatsAndGrants) {
  for (const bool by_grant : {false, true}) {
    Worker worker;
    worker.join();
    worker.grant({worker.step(0), worker.step(1)});
    worker.all_weights(0, 0);
    worker.compute(0);
    worker.all_weights(1, 0);
    worker.compute(1);
    worker.acknowledge_all(0);
    worker.acknowledge_all(1);
    worker.run_to(worker.now + 2 * worker.timing.resend_after);
    EXPECT_EQ(worker.ticks().size(), 2u);  // both, oldest first
    EXPECT_EQ(worker.ticks().at(0).clock, 0);
    if (by_grant)
      worker.grant(2, 1);  // it knows step 0 as settled
    else
      worker.scheduler(protocol::Beat{true, 1});
    worker.run_to(worker.now + 4 * worker.timing.resend_after);
    EXPECT_THAT(worker.ticks(), testing::Not(IsEmpty()));
    for (const protocol::Tick& tick : worker.ticks()) EXPECT_EQ(tick.clock, 1);
  }
}

TEST(WorkerResending, NewerTicksDoNotPutOffAnOlderOne) {
  Worker worker;
  worker.join();
  std::vector<TimeNs> again;  // of the first tick
  for (Clock clock = 0; clock < 12; ++clock) {
    worker.grant(clock);  // as if the scheduler heard no tick
    worker.all_weights(clock, 0);
    worker.compute(clock);
    worker.acknowledge_all(clock);
    worker.run_to(worker.now + worker.timing.resend_after / 4);
    for (const protocol::Tick& tick : worker.ticks())
      if (tick.clock == 0) again.push_back(worker.now);
  }
  EXPECT_GE(again.size(), 1u);
}

// ---- repeats ----------------------------------------------------------------------------------------

TEST(WorkerRepeats, AGrantCountsOnce) {
  Worker worker;
  worker.join();
  worker.grant(0);
  worker.grant(0);
  EXPECT_THAT(worker.out.messages, IsEmpty());
  EXPECT_THAT(worker.orders, IsEmpty());
  worker.all_weights(0, 0);
  worker.compute(0);
  worker.grant(0);  // while it settles
  EXPECT_THAT(worker.orders, IsEmpty());
  worker.acknowledge_all(0);
  worker.grant(0);  // and afterwards
  EXPECT_THAT(worker.orders, IsEmpty());
  EXPECT_THAT(worker.out.messages, IsEmpty());
}

TEST(WorkerRepeats, AnAcknowledgementCountsOnce) {
  Worker worker;
  worker.up_to_acknowledgements();
  for (int i = 0; i < 5; ++i) worker.acknowledge(0, 0);
  worker.acknowledge(1, 0);
  EXPECT_THAT(worker.ticks(), IsEmpty());
  worker.acknowledge(2, 9);                             // of no step of ours
  worker.acknowledge(2, 0, Fate::kApplied, 0, {3, 1});  // of a node that was never pushed
  EXPECT_THAT(worker.ticks(), IsEmpty());
  worker.acknowledge(2, 0);
  EXPECT_EQ(worker.ticks().size(), 1u);
  worker.acknowledge(2, 0);
  EXPECT_THAT(worker.ticks(), IsEmpty());
}

// ---- nodes of a worker that died --------------------------------------------------------------------

StepGrant bsp_step(const Worker& worker, protocol::LeafNodes nodes) {
  StepGrant step = worker.step(0);
  step.bound = 0;
  step.leaves = 4;
  step.nodes = std::move(nodes);
  return step;
}

TEST(WorkerInheriting, NodesAreAddedToTheOpenStep) {
  Worker worker;
  worker.join();
  worker.grant({bsp_step(worker, {{1, 0}})});
  worker.all_weights(0, 0, 3);
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.gradient(slice, 0, {1, 0});
  worker.computed(0);
  worker.grant({bsp_step(worker, {{1, 0}, {0, 3}})});
  ASSERT_EQ(worker.ordered<ComputeStep>().size(), 1u);
  EXPECT_TRUE(worker.ordered<ComputeStep>()[0].more_of_same);
  EXPECT_THAT(worker.ordered<ComputeStep>()[0].step.nodes, ElementsAre(LeafNode{0, 3}));
  EXPECT_THAT(worker.out.messages, IsEmpty());         // the weights are there
  worker.grant({bsp_step(worker, {{1, 0}, {0, 3}})});  // once
  EXPECT_THAT(worker.orders, IsEmpty());

  for (SliceId slice = 0; slice < kSlices; ++slice) worker.acknowledge(slice, 0, Fate::kApplied, 0, {1, 0});
  EXPECT_THAT(worker.ticks(), IsEmpty());
  for (SliceId slice = 0; slice < kSlices; ++slice) {
    worker.gradient(slice, 0, {0, 3});
    ASSERT_EQ(worker.sent_to_servers<Push>().size(), 1u);
    EXPECT_EQ(worker.sent_to_servers<Push>()[0].version, 3u);
    EXPECT_THAT(worker.sent_to_servers<Pull>(), IsEmpty());  // asked for already
  }
  worker.computed(0);
  for (SliceId slice = 0; slice < kSlices; ++slice) {
    EXPECT_THAT(worker.ticks(), IsEmpty());
    worker.acknowledge(slice, 0, Fate::kApplied, 0, {0, 3});
  }
  ASSERT_EQ(worker.ticks().size(), 1u);
  EXPECT_EQ(worker.ticks()[0].samples, 16u);
}

TEST(WorkerInheriting, BeforeTheStepIsComputedThePullWaitsForTheLastNode) {
  Worker worker;
  worker.join();
  worker.grant({bsp_step(worker, {{1, 0}})});
  worker.all_weights(0, 0);
  worker.grant({bsp_step(worker, {{1, 0}, {0, 3}})});
  for (SliceId slice = 0; slice < kSlices; ++slice) {
    worker.gradient(slice, 0, {1, 0});
    EXPECT_THAT(worker.slices_sent<Pull>(), IsEmpty());
  }
  worker.computed(0);
  worker.gradient(0, 0, {0, 3});
  EXPECT_THAT(worker.slices_sent<Pull>(), ElementsAre(0));
}

// ---- the end ----------------------------------------------------------------------------------------

TEST(WorkerEnding, AFencedPushEndsIt) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.acknowledge(1, 0, Fate::kFenced);
  EXPECT_TRUE(worker.stopped_computing());
  const auto goodbyes = worker.sent<protocol::Goodbye>(kSchedulerNode);
  ASSERT_EQ(goodbyes.size(), 1u);
  EXPECT_EQ(goodbyes[0].exit_code, static_cast<int>(Cause::kEvicted));
  EXPECT_THAT(worker.out.end->text, HasSubstr("worker-1"));
  expect_over(worker, static_cast<int>(Cause::kEvicted));
}

TEST(WorkerEnding, ASilentSchedulerEndsIt) {
  Worker worker;
  worker.up_to_acknowledgements();
  const TimeNs heard = worker.now;
  while (!worker.out.end && worker.now < heard + 10 * worker.timing.lost_after) worker.wake_at(worker.core.deadline());
  EXPECT_GE(worker.now, heard + worker.timing.lost_after);
  EXPECT_LE(worker.now, heard + worker.timing.lost_after + 2 * worker.timing.heartbeat);
  EXPECT_TRUE(worker.stopped_computing());
  expect_over(worker, static_cast<int>(Cause::kPeerLost));
}

// Servers may go on talking: it is the scheduler that is missed.
TEST(WorkerEnding, OthersDoNotStandInForTheScheduler) {
  Worker worker;
  worker.up_to_acknowledgements();
  const TimeNs heard = worker.now;
  while (!worker.out.end && worker.now < heard + 10 * worker.timing.lost_after) {
    worker.acknowledge(0, 0);
    worker.wake_at(worker.core.deadline());
  }
  EXPECT_LE(worker.now, heard + worker.timing.lost_after + 2 * worker.timing.heartbeat);
  expect_over(worker, static_cast<int>(Cause::kPeerLost));
}

TEST(WorkerEnding, BeforeItJoinedItIsPatient) {
  Worker worker;
  const TimeNs began = worker.now;
  while (!worker.out.end && worker.now < began + 1000 * kSecond) worker.wake_at(worker.core.deadline());
  EXPECT_GE(worker.now, began + 2 * worker.timing.start_timeout);
  expect_over(worker, static_cast<int>(Cause::kPeerLost));
}

TEST(WorkerEnding, ARefusalEndsItWithItsCause) {
  Worker worker;
  worker.scheduler(protocol::Refuse{Cause::kData, "other data"});
  EXPECT_TRUE(worker.stopped_computing());
  EXPECT_EQ(worker.out.end->text, "other data");
  expect_over(worker, static_cast<int>(Cause::kData));
}

TEST(WorkerEnding, ARefusalThatComesAfterTheWelcomeIsNoEnd) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.scheduler(protocol::Refuse{Cause::kRefused, "worker-1 is in the job already"});
  EXPECT_FALSE(worker.out.end.has_value());
  EXPECT_FALSE(worker.stopped_computing());
}

TEST(WorkerEnding, AFinishIsAnsweredByAGoodbye) {
  Worker worker;
  worker.up_to_acknowledgements();
  worker.scheduler(protocol::Finish{0, ""});
  EXPECT_TRUE(worker.stopped_computing());
  ASSERT_EQ(worker.sent<protocol::Goodbye>(kSchedulerNode).size(), 1u);
  EXPECT_EQ(worker.sent<protocol::Goodbye>(kSchedulerNode)[0].exit_code, 0);
  expect_over(worker, 0);
  worker.gradient(0, 0);  // the trainer may still say something
  worker.computed(0);
  EXPECT_THAT(worker.out.messages, IsEmpty());
}

TEST(WorkerEnding, ATrainerThatFailsEndsItWithItsCause) {
  Worker worker;
  worker.join();
  worker.grant(0);
  worker.report(ComputeFailed{{Cause::kDevice, "the device is gone"}});
  const auto goodbyes = worker.sent<protocol::Goodbye>(kSchedulerNode);
  ASSERT_EQ(goodbyes.size(), 1u);
  EXPECT_EQ(goodbyes[0].exit_code, static_cast<int>(Cause::kDevice));
  EXPECT_EQ(goodbyes[0].text, "the device is gone");
  expect_over(worker, static_cast<int>(Cause::kDevice));
}

}  // namespace
}  // namespace rubato::worker
