// What single modes ask of a worker: pushes that are accepted before they are applied, clocks that it is made to
// skip, a bound that moves.
#include "tests/worker/worker_harness.h"

namespace rubato::worker {
namespace {

using protocol::Fate;
using protocol::Pull;
using protocol::StepGrant;
using testing::IsEmpty;

// Their age is not known yet. The next step may have begun on newer weights before the last answer comes.
TEST(WorkerTicking, ATickSaysUnderWhichVersionsAcceptedPushesWere) {
  Worker worker;
  worker.join();
  worker.grant({worker.step(0), worker.step(1)});
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.weights(slice, 0, 0, slice == 1 ? 7 : 9);
  worker.compute(0);
  worker.all_weights(1, 0, 12);
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.acknowledge(slice, 0, Fate::kAccepted);
  ASSERT_EQ(worker.ticks().size(), 1u);
  const protocol::Tick tick = worker.ticks()[0];
  EXPECT_THAT(tick.ages, IsEmpty());
  ASSERT_EQ(tick.versions.size(), 2u);
  EXPECT_EQ(tick.versions[0].version, 7u);
  EXPECT_EQ(tick.versions[0].count, 1u);
  EXPECT_EQ(tick.versions[1].version, 9u);
  EXPECT_EQ(tick.versions[1].count, 2u);
}

TEST(WorkerPushing, ADeltaSaysOfHowManySteps) {
  Worker worker;
  worker.join();
  worker.grant(0);
  worker.all_weights(0, 0);
  worker.report(SliceGradient{0, 1, {}, 24, floats_payload(1.0f), 3});
  const auto pushes = worker.sent_to_servers<protocol::Push>();
  ASSERT_EQ(pushes.size(), 1u);
  EXPECT_EQ(pushes[0].local_steps, 3u);
  EXPECT_EQ(pushes[0].samples, 24u);
  ASSERT_EQ(worker.out.traces.size(), 1u);
  EXPECT_EQ(worker.out.traces[0].local_steps, 3u);
}

// backup: the others have closed clocks 0 to 4 without this worker.
TEST(WorkerOvertaken, FinishesItsStepAndJumpsToTheClockThatIsGranted) {
  Worker worker;
  worker.bound = 0;
  worker.up_to_acknowledgements();
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.acknowledge(slice, 0, Fate::kDropped);
  ASSERT_EQ(worker.ticks().size(), 1u);
  EXPECT_EQ(worker.ticks()[0].dropped, kSlices);
  worker.weights(1, 1, 5, 5);  // of what it had asked for ahead, one has come

  worker.grant(5, 1);
  ASSERT_EQ(worker.ordered<ComputeStep>().size(), 1u);
  EXPECT_EQ(worker.ordered<ComputeStep>()[0].step.clock, 5);
  const auto pulls = worker.sent_to_servers<Pull>();
  ASSERT_EQ(pulls.size(), kSlices);
  for (const Pull& pull : pulls) {
    EXPECT_EQ(pull.clock, 5);
    EXPECT_EQ(pull.floor, 5);
  }
  worker.weights(0, 1, 5, 5);
  EXPECT_THAT(worker.orders, IsEmpty()) << "the answer to a pull that nobody waits for any more";
  worker.all_weights(5, 5, 5);
  worker.compute(5);
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.acknowledge(slice, 5, Fate::kAccepted);
  ASSERT_EQ(worker.ticks().size(), 1u);
  EXPECT_EQ(worker.ticks()[0].clock, 5);
}

TEST(WorkerOvertaken, ItsLateTickIsSaidUntilItIsHeard) {
  Worker worker;
  worker.up_to_acknowledgements();
  for (SliceId slice = 0; slice < kSlices; ++slice) worker.acknowledge(slice, 0, Fate::kDropped);
  worker.scheduler(protocol::Beat{true, 0});
  worker.run_to(worker.now + worker.timing.resend_after + worker.timing.resend_after / 2);
  EXPECT_FALSE(worker.ticks().empty());
  worker.grant(5, 5);
  worker.run_to(worker.now + 4 * worker.timing.resend_after);
  EXPECT_THAT(worker.ticks(), IsEmpty());
}

// dssp: the grant is on credit, and asks for less than what was asked for ahead.
TEST(WorkerPulling, ALowerFloorIsAskedForAnew) {
  Worker worker;
  worker.bound = 1;
  worker.up_to_acknowledgements(2);
  worker.acknowledge_all(2);
  StepGrant on_credit = worker.step(3);
  on_credit.bound = 3;
  worker.grant({on_credit}, 3);
  const auto pulls = worker.sent_to_servers<Pull>();
  ASSERT_EQ(pulls.size(), kSlices);
  for (const Pull& pull : pulls) EXPECT_EQ(pull.floor, 0);
}

}  // namespace
}  // namespace rubato::worker
