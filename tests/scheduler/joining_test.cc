// Who is let into a job, who is not, and what a job says that waits for members.
#include <algorithm>

#include "tests/scheduler/scheduler_harness.h"

namespace rubato::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Optional;
using testing::SizeIs;

TEST(Joining, EverybodyComesServersGetReadyThenTheOthersThenTrainingBegins) {
  Scheduler scheduler(job_of("ssp:1"));
  for (const NodeId node : scheduler.members()) {
    EXPECT_EQ(scheduler.core.phase(), Phase::kGathering);
    scheduler.enroll(node);
  }
  EXPECT_EQ(scheduler.core.phase(), Phase::kInitializing);
  const auto welcomes = scheduler.sent<protocol::Welcome>(server_node(0));
  ASSERT_THAT(welcomes, SizeIs(1));
  EXPECT_EQ(welcomes[0].active, (std::vector<protocol::ActiveWorker>{{0, 1, 0}, {1, 1, 0}}));
  EXPECT_THAT(welcomes[0].routing.addresses, ElementsAre("at server-0"));
  EXPECT_THAT(scheduler.sent<protocol::Welcome>(worker_node(0)), IsEmpty()) << "there are no weights yet";

  scheduler.receive(server_node(0), protocol::Ready{});
  for (const NodeId node : {worker_node(0), worker_node(1), evaluator_node(0)})
    EXPECT_THAT(scheduler.sent<protocol::Welcome>(node), SizeIs(1)) << node.name();
  scheduler.receive(worker_node(0), protocol::Ready{});
  scheduler.receive(worker_node(1), protocol::Ready{});
  EXPECT_EQ(scheduler.core.phase(), Phase::kInitializing);
  scheduler.receive(evaluator_node(0), protocol::Ready{});
  EXPECT_EQ(scheduler.core.phase(), Phase::kTraining);
  EXPECT_THAT(scheduler.granted(), ElementsAre(std::pair(0u, 0), std::pair(0u, 1), std::pair(1u, 0), std::pair(1u, 1)));
}

TEST(Joining, TheLastOfManyStartsTraining) {
  Scheduler scheduler(job_of("ssp:1", 10'000));
  std::vector<NodeId> all = scheduler.members();
  std::rotate(all.begin() + 1, all.end() - 1, all.end());  // a worker comes last
  for (const NodeId node : all) {
    ASSERT_EQ(scheduler.core.phase(), Phase::kGathering);
    scheduler.enroll(node);
  }
  EXPECT_EQ(scheduler.core.phase(), Phase::kInitializing);
  for (const NodeId node : all) {
    ASSERT_EQ(scheduler.core.phase(), Phase::kInitializing);
    scheduler.receive(node, protocol::Ready{});
  }
  EXPECT_EQ(scheduler.core.phase(), Phase::kTraining);
}

TEST(Joining, RegistrationsAndReadyMayBeSaidAgain) {
  Scheduler scheduler(job_of("asp"));
  for (const NodeId node : scheduler.members()) {
    scheduler.enroll(node);
    scheduler.enroll(node);
    EXPECT_EQ(scheduler.refusal(node), std::nullopt);
  }
  scheduler.enroll(server_node(0));
  EXPECT_THAT(scheduler.sent<protocol::Welcome>(server_node(0)), SizeIs(1)) << "the Welcome was lost";
  scheduler.receive(server_node(0), protocol::Ready{});
  scheduler.receive(server_node(0), protocol::Ready{});
  EXPECT_THAT(scheduler.sent<protocol::Beat>(server_node(0)), SizeIs(1));
}

// ---- objections -------------------------------------------------------------------------------------

TEST(Joining, AnotherJobIsRefused) {
  Scheduler scheduler(job_of("bsp"));
  auto message = scheduler.registration(server_node(0));
  message.job_hash = "0123456789abcdef";
  scheduler.receive(server_node(0), message, 0);
  EXPECT_THAT(scheduler.refusal(server_node(0)), Optional(HasSubstr("runs another job file (hash 0123456789ab")));
}

TEST(Joining, OtherDataOrAnotherModelIsRefused) {
  Scheduler scheduler(job_of("bsp"));
  scheduler.enroll(worker_node(0));
  auto message = scheduler.registration(worker_node(1));
  message.data_fingerprint = "other data";
  scheduler.receive(worker_node(1), message, 0);
  EXPECT_THAT(scheduler.refusal(worker_node(1)), Optional(HasSubstr("other training data")));

  message = scheduler.registration(worker_node(1));
  message.manifest[0].shape = {33};
  scheduler.receive(worker_node(1), message, 0);
  EXPECT_THAT(scheduler.refusal(worker_node(1)), Optional(HasSubstr("another model")));

  message = scheduler.registration(worker_node(1));
  message.manifest.push_back(message.manifest[0]);
  scheduler.receive(worker_node(1), message, 0);
  EXPECT_THAT(scheduler.refusal(worker_node(1)), Optional(HasSubstr("named twice")));

  scheduler.enroll(worker_node(1));
  EXPECT_EQ(scheduler.refusal(worker_node(1)), std::nullopt) << "a refusal is no verdict on the rank";
}

TEST(Joining, WhoIsNotPartOfTheJobIsRefused) {
  Scheduler scheduler(job_of("bsp", 2, 1));
  for (const NodeId node : {worker_node(2), server_node(1), evaluator_node(1)}) {
    scheduler.enroll(node);
    EXPECT_THAT(scheduler.refusal(node), Optional(HasSubstr(node.name() + " is not part of this job"))) << node.name();
  }
}

TEST(Joining, ARankIsInTheJobOnce) {
  Scheduler scheduler(job_of("bsp"));
  scheduler.enroll(worker_node(0));
  auto message = scheduler.registration(worker_node(0));
  message.nonce = 999;
  scheduler.receive(worker_node(0), message, 0);
  EXPECT_THAT(scheduler.refusal(worker_node(0)),
              Optional(HasSubstr("worker-0 is in the job already, as process 4000 on here")));
}

TEST(Joining, WhoComesAfterTheBeginningIsRefused) {
  Job job = job_of("asp", 2);
  job.cluster.min_workers = 1;
  Scheduler scheduler(job);
  for (const NodeId node : {server_node(0), worker_node(0), evaluator_node(0)}) scheduler.enroll(node);
  scheduler.wake_at(scheduler.now + scheduler.timing.start_timeout);
  ASSERT_EQ(scheduler.core.phase(), Phase::kInitializing);
  scheduler.enroll(worker_node(1));
  EXPECT_THAT(scheduler.refusal(worker_node(1)), Optional(HasSubstr("worker-1 comes too late")));
}

TEST(Joining, TheTotalIsThatOfThoseWhoBegin) {
  Job job = job_of("asp", 3);
  job.cluster.min_workers = 2;
  job.train.steps = 10;
  Scheduler scheduler(job);
  const std::vector<NodeId> nodes = {server_node(0), worker_node(0), worker_node(2), evaluator_node(0)};
  for (const NodeId node : nodes) scheduler.enroll(node);
  EXPECT_EQ(scheduler.core.status(scheduler.now)["samples_total"], 260);  // epochs of 4 clocks, and 2 clocks of 30
  scheduler.wake_at(scheduler.now + scheduler.timing.start_timeout);
  for (const NodeId node : nodes) scheduler.receive(node, protocol::Ready{});
  ASSERT_EQ(scheduler.core.phase(), Phase::kTraining);
  EXPECT_EQ(scheduler.core.status(scheduler.now)["samples_total"], 200);  // two epochs of 5 clocks
}

TEST(Joining, AWorkerThatIsKilledBeforeTheBeginningMayComeAgain) {
  Job job = job_of("asp");
  job.cluster.restarts = 1;
  Scheduler scheduler(job);
  scheduler.enroll(worker_node(1));
  for (const std::uint32_t rank : {0u, 1u}) {  // one has not joined yet, one has
    scheduler.core.member_exited(scheduler.now, {worker_node(rank), -9}, scheduler.out);
    ASSERT_EQ(scheduler.core.phase(), Phase::kGathering);
  }
  scheduler.begin();
}

TEST(Joining, AWorkerThatIsKilledBeforeTheBeginningIsNotNeeded) {
  Job job = job_of("asp");
  job.cluster.min_workers = 1;
  Scheduler scheduler(job);
  for (const NodeId node : scheduler.members())
    if (node != worker_node(1)) scheduler.enroll(node);
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
  EXPECT_EQ(scheduler.core.phase(), Phase::kGathering) << "somebody may start it again by hand";
  scheduler.wake_at(scheduler.now + scheduler.timing.start_timeout);
  EXPECT_EQ(scheduler.core.phase(), Phase::kInitializing);
}

TEST(Joining, WhoeverEndsByItselfOrIsNeededEndsTheJob) {
  for (const auto& [restarts, code] : {std::pair(1, 3), std::pair(0, -9)}) {
    Job job = job_of("asp");
    job.cluster.restarts = restarts;
    Scheduler scheduler(job);
    scheduler.core.member_exited(scheduler.now, {worker_node(1), code}, scheduler.out);
    EXPECT_EQ(scheduler.core.phase(), Phase::kOver) << code;
  }
}

// A new process of a member.
void come_again(Scheduler& scheduler, NodeId node) {
  auto message = scheduler.registration(node);
  message.nonce = 999;
  scheduler.receive(node, message, 0);
}

TEST(Joining, WhatIsHeardOfAProcessAfterItsEndIsNotTakenForTheNext) {
  Job job = job_of("asp");
  job.cluster.restarts = 1;
  Scheduler scheduler(job);
  protocol::Register late = scheduler.registration(worker_node(1));
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9, false, late.pid}, scheduler.out);
  scheduler.receive(worker_node(1), late, 0);
  EXPECT_THAT(scheduler.out.messages, IsEmpty());
  protocol::Register next = late;
  ++next.nonce, ++next.pid;
  scheduler.receive(worker_node(1), next, 0);
  EXPECT_EQ(scheduler.refusal(worker_node(1)), std::nullopt);
  scheduler.receive(worker_node(1), late, 0);
  EXPECT_THAT(scheduler.out.messages, IsEmpty()) << "nobody is there to be told that the place is taken";
}

TEST(Joining, AnEvaluatorComesBack) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  scheduler.core.member_exited(scheduler.now, {evaluator_node(0), -9}, scheduler.out);
  come_again(scheduler, evaluator_node(0));
  EXPECT_THAT(scheduler.sent<protocol::Welcome>(evaluator_node(0)), SizeIs(1));
  EXPECT_EQ(scheduler.sent<protocol::Welcome>(evaluator_node(0)).front().incarnation, 2u);
}

// Both of its granted steps may have been settled somewhere, whatever it said of them.
TEST(Joining, AWorkerComesBackAboveWhatAnyShardHasSettledOfIt) {
  for (const bool ready_first : {true, false}) {
    Scheduler scheduler(job_of("ssp:4", 2, 2));
    scheduler.begin();
    for (Clock clock = 0; clock < 3; ++clock) scheduler.tick(1, clock);
    scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
    come_again(scheduler, worker_node(1));
    EXPECT_THAT(scheduler.sent<protocol::Welcome>(worker_node(1)), SizeIs(1));
    if (ready_first) scheduler.receive(worker_node(1), protocol::Ready{}, 2);
    scheduler.receive(server_node(0), protocol::Sealed{1, 1, 3, 1, 1});
    EXPECT_EQ(scheduler.core.status(scheduler.now)["workers"][1]["state"], "joining");
    EXPECT_THAT(scheduler.sent<protocol::Membership>(server_node(0)), IsEmpty()) << "a shard has not said what it has";
    scheduler.receive(server_node(1), protocol::Sealed{1, 1, 2, 1, 1});
    if (!ready_first) scheduler.receive(worker_node(1), protocol::Ready{}, 2);
    const auto memberships = scheduler.sent<protocol::Membership>(server_node(0));
    ASSERT_THAT(memberships, SizeIs(1));
    EXPECT_THAT(memberships[0].active, ElementsAre(protocol::ActiveWorker{0, 1, 0}, protocol::ActiveWorker{1, 2, 4}));
    EXPECT_THAT(scheduler.granted(), ElementsAre(std::pair<std::uint32_t, Clock>{1, 4}));
  }
}

// Worker 1, of which the only shard has settled nothing.
void die_unsettled(Scheduler& scheduler) {
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
  scheduler.receive(server_node(0), protocol::Sealed{1, 1, kNoClock, 0, 1});
}

TEST(Joining, AWorkerThatComesBackStartsNoLowerThanTheSlowest) {
  Scheduler scheduler(job_of("asp", 2));
  scheduler.begin();
  die_unsettled(scheduler);
  for (Clock clock = 0; clock < 7; ++clock) scheduler.tick(0, clock);
  come_again(scheduler, worker_node(1));
  scheduler.receive(worker_node(1), protocol::Ready{}, 2);
  EXPECT_THAT(scheduler.granted(),
              ElementsAre(std::pair<std::uint32_t, Clock>{1, 7}, std::pair<std::uint32_t, Clock>{1, 8}));
}

TEST(Joining, AWorkerOfWhichNothingWasSettledBeginsOnceMore) {
  Scheduler scheduler(job_of("asp", 2));
  scheduler.begin();
  die_unsettled(scheduler);
  come_again(scheduler, worker_node(1));
  scheduler.receive(worker_node(1), protocol::Ready{}, 2);
  EXPECT_THAT(scheduler.granted(),
              ElementsAre(std::pair<std::uint32_t, Clock>{1, 0}, std::pair<std::uint32_t, Clock>{1, 1}));
}

TEST(Joining, InBspAWorkerComesBackWithAClockThatNobodyHasBegun) {
  Scheduler scheduler(job_of("bsp", 2));
  scheduler.begin();
  die_unsettled(scheduler);
  come_again(scheduler, worker_node(1));
  scheduler.receive(worker_node(1), protocol::Ready{}, 2);
  EXPECT_THAT(scheduler.granted(), IsEmpty()) << "worker 0 has all leaves of clock 0";
  scheduler.tick(0, 0);
  EXPECT_THAT(scheduler.granted(),
              ElementsAre(std::pair<std::uint32_t, Clock>{1, 1}, std::pair<std::uint32_t, Clock>{0, 1}));
  EXPECT_THAT(scheduler.sent<protocol::Grant>(worker_node(0)).back().steps.at(0).nodes, SizeIs(1));
}

TEST(Joining, AJobThatIsAboutToEndTakesNobodyBack) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  scheduler.core.member_exited(scheduler.now, {worker_node(0), -9}, scheduler.out);
  scheduler.core.drain(scheduler.now, scheduler.out);
  come_again(scheduler, worker_node(0));
  EXPECT_THAT(scheduler.refusal(worker_node(0)), Optional(HasSubstr("comes back too late")));
}

TEST(Joining, ALifeThatIsOverHearsSo) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  scheduler.receive(worker_node(0), protocol::Heartbeat{}, 7);
  const auto finish = scheduler.sent<protocol::Finish>(worker_node(0));
  ASSERT_THAT(finish, SizeIs(1));
  EXPECT_EQ(finish[0].exit_code, static_cast<int>(Cause::kEvicted));
}

// ---- waiting ----------------------------------------------------------------------------------------

TEST(Joining, TheMissingAreNamed) {
  Scheduler scheduler(job_of("bsp", 3, 2));
  for (const NodeId node : {server_node(0), worker_node(0), worker_node(2)}) scheduler.enroll(node);
  const auto status = scheduler.core.status(scheduler.now);
  EXPECT_EQ(status["state"], "starting");
  EXPECT_THAT(status["missing"], ElementsAre("server-1", "worker-1", "evaluator-0"));
  const TimeNs begun = scheduler.now;
  scheduler.wake_at(begun + scheduler.timing.start_timeout - 1);
  EXPECT_EQ(scheduler.out.end, std::nullopt);
  scheduler.wake_at(begun + 2 * scheduler.timing.start_timeout);
  ASSERT_TRUE(scheduler.out.end.has_value());
  EXPECT_EQ(scheduler.out.end->exit_code, static_cast<int>(Cause::kPeerLost));
  EXPECT_THAT(scheduler.out.end->text, HasSubstr("have not come: server-1, worker-1, evaluator-0"));
  EXPECT_THAT(scheduler.sent<protocol::Finish>(worker_node(2)), SizeIs(1)) << "those who came hear of it";
}

TEST(Joining, WhoCameAndNeverGotReadyIsNamedAfterTimeOfItsOwn) {
  Scheduler scheduler(job_of("bsp", 2));
  for (const NodeId node : scheduler.members()) {
    scheduler.wake_at(scheduler.now + scheduler.timing.start_timeout / 8);
    scheduler.enroll(node);
  }
  ASSERT_EQ(scheduler.core.phase(), Phase::kInitializing);
  const TimeNs begun = scheduler.now;
  scheduler.wake_at(begun + scheduler.timing.start_timeout / 2);
  EXPECT_EQ(scheduler.out.end, std::nullopt);
  scheduler.wake_at(begun + 2 * scheduler.timing.start_timeout);
  ASSERT_TRUE(scheduler.out.end.has_value());
  EXPECT_THAT(scheduler.out.end->text, HasSubstr("server-0"));
  EXPECT_THAT(scheduler.out.end->text, Not(HasSubstr("worker-0"))) << "it was not asked yet";
}

TEST(Joining, DeathBeforeTrainingEndsTheJob) {
  Scheduler scheduler(job_of("bsp", 2));
  scheduler.enroll(worker_node(0));
  scheduler.out.clear();
  scheduler.core.member_exited(scheduler.now, {worker_node(0), 3}, scheduler.out);
  ASSERT_TRUE(scheduler.out.end.has_value());
  EXPECT_EQ(scheduler.out.end->exit_code, 3);
  EXPECT_THAT(scheduler.out.end->text, HasSubstr("worker-0 exited with code 3"));
}

}  // namespace
}  // namespace rubato::scheduler
