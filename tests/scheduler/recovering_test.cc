// Servers that come back: who is told what, and when the job ends instead.
#include "tests/scheduler/scheduler_harness.h"

namespace rubato::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Recovering : public testing::Test {
 protected:
  explicit Recovering(const Job& job = job_of("ssp:2", 2, 2)) : job_(job) { job_.begin(); }

  void kill(std::uint32_t server, bool again = true) {
    job_.out.clear();
    job_.core.member_exited(job_.now, {server_node(server), -9, again}, job_.out);
  }
  void enroll_again(std::uint32_t server, const std::string& address = "elsewhere") {
    protocol::Register message = job_.registration(server_node(server));
    message.nonce += 1000;
    message.address = address;
    job_.receive(server_node(server), message, 0);
  }
  void ready(std::uint32_t server, Incarnation life = 2) { job_.receive(server_node(server), protocol::Ready{}, life); }
  [[nodiscard]] std::string state(std::uint32_t server) const {
    return job_.core.status(job_.now)["servers"][server]["state"];
  }

  Scheduler job_;
};

// A server that is away knows of no snapshot, so grants wait. When the last one that is due has been evaluated, and
// with it forgotten, there is nothing more to know.
TEST(RecoveringInLockstep, GrantsGoOnWhenTheSnapshotTheyWaitedForIsEvaluated) {
  Job job = job_of("bsp", 1, 2);
  job.evaluation.enabled = true;
  job.train.micro_batches = 1;
  Scheduler scheduler(job);  // 10 clocks an epoch, and a snapshot behind each
  scheduler.begin();
  const auto beat_of_servers = [&](std::uint64_t snapshot) {
    protocol::Heartbeat beat;
    beat.snapshot = snapshot;
    for (const std::uint32_t rank : {0u, 1u}) scheduler.receive(server_node(rank), beat);
  };
  beat_of_servers(1);
  for (Clock clock = 0; clock < 10; ++clock) scheduler.tick(0, clock);
  beat_of_servers(2);
  for (const std::uint32_t rank : {0u, 1u}) {
    protocol::SnapshotTaken taken;
    taken.id = 1;
    scheduler.receive(server_node(rank), taken);
  }
  ASSERT_THAT(scheduler.sent<protocol::Evaluate>(evaluator_node(0)), SizeIs(1));
  scheduler.core.member_exited(scheduler.now, {server_node(1), -9, true}, scheduler.out);
  scheduler.tick(0, 10);
  EXPECT_THAT(scheduler.granted(), IsEmpty());
  protocol::EvaluationDone done;
  done.snapshot = 1;
  scheduler.receive(evaluator_node(0), done);
  EXPECT_THAT(scheduler.granted(), SizeIs(1));
}

// What its earlier lives had counted, as they said last, is counted on: in what is said of it, and of all in the end.
TEST(RecoveringFigures, AreOfAllLives) {
  Job job = job_of("asp", 1, 2);
  job.train.steps = 1;
  Scheduler scheduler(job);
  scheduler.begin();
  const auto count = [&](std::uint64_t pushes, Incarnation life) {
    protocol::Heartbeat beat;
    beat.shard = {.pushes = pushes, .repeated = 2, .dropped = 1, .bytes = 64};
    beat.refused_frames = 3;
    scheduler.receive(server_node(1), beat, life);
  };
  for (const Incarnation life : {1u, 2u, 3u}) {
    if (life > 1) {
      scheduler.core.member_exited(scheduler.now, {server_node(1), -9, true}, scheduler.out);
      protocol::Register message = scheduler.registration(server_node(1));
      message.nonce += life;
      scheduler.receive(server_node(1), message, 0);
      scheduler.receive(server_node(1), protocol::Ready{}, life);
    }
    count(5, life);
    count(10 * life, life);
    const auto status = scheduler.core.status(scheduler.now)["servers"][1];
    EXPECT_EQ(status["pushes"], 5 * life * (life + 1));
    EXPECT_EQ(status["pushes_repeated"], 2 * life);
    EXPECT_EQ(status["refused_frames"], 3 * life);
    EXPECT_EQ(status["bytes"], 64) << "what it holds is not counted";
  }
  scheduler.tick(0, 0);
  for (const std::uint32_t rank : {0u, 1u})
    scheduler.receive(server_node(rank), protocol::SnapshotTaken{1, true, {.pushes = 31, .repeated = 2, .dropped = 1}},
                      rank == 1 ? 3 : 1);
  protocol::EvaluationDone done;
  done.snapshot = 1;
  scheduler.receive(evaluator_node(0), done);
  const auto lines = scheduler.core.take_metrics();
  ASSERT_FALSE(lines.empty());
  const auto& final = lines.back();
  ASSERT_EQ(final["event"], "final");
  EXPECT_EQ(final["pushes"], 31 + 10 + 20 + 31);
  EXPECT_EQ(final["pushes_repeated"], 2 + 3 * 2);
  EXPECT_EQ(final["pushes_dropped"], 1 + 3 * 1);
  EXPECT_EQ(final["refused_frames"], 3 * 3);
}

TEST_F(Recovering, AServerThatIsStartedAgainIsWelcomedAsItsNextLife) {
  kill(1);
  EXPECT_EQ(job_.core.phase(), Phase::kTraining);
  EXPECT_EQ(state(1), "returning");
  EXPECT_EQ(state(0), "ready");
  ASSERT_THAT(job_.out.notes, SizeIs(1));
  EXPECT_EQ(job_.out.notes[0].level, protocol::Level::kWarning);
  EXPECT_THAT(job_.out.notes[0].text, HasSubstr("server-1 was killed by signal 9; what it had is there"));
  enroll_again(1);
  const auto welcome = job_.sent<protocol::Welcome>(server_node(1));
  ASSERT_THAT(welcome, SizeIs(1));
  EXPECT_EQ(welcome[0].incarnation, 2u);
  EXPECT_EQ(welcome[0].routing.route, 2u);
  EXPECT_THAT(welcome[0].routing.addresses, ElementsAre("at server-0", "elsewhere"));
  EXPECT_THAT(welcome[0].active, SizeIs(2));
  EXPECT_THAT(job_.sent<protocol::Welcome>(worker_node(0)), IsEmpty()) << "it has not taken over anything yet";
  EXPECT_EQ(state(1), "returning");
  ready(1);
  EXPECT_EQ(state(1), "ready");
  for (const NodeId reader : {worker_node(0), worker_node(1), evaluator_node(0)}) {
    const auto told = job_.sent<protocol::Welcome>(reader);
    ASSERT_THAT(told, SizeIs(1)) << reader.name();
    EXPECT_EQ(told[0].incarnation, 1u);
    EXPECT_EQ(told[0].routing, welcome[0].routing);
  }
}

TEST_F(Recovering, WhereTheShardsAreIsSaidUntilItIsKnown) {
  kill(1);
  enroll_again(1);
  ready(1);
  job_.beat(worker_node(0));  // under the route of before
  EXPECT_THAT(job_.sent<protocol::Welcome>(worker_node(0)), SizeIs(1));
  job_.out.clear();
  job_.core.receive(job_.now, {worker_node(0), kSchedulerNode, 1, 1, 2, 7}, protocol::Heartbeat{}, job_.out);
  EXPECT_THAT(job_.sent<protocol::Welcome>(worker_node(0)), IsEmpty());
}

TEST_F(Recovering, TheLifeBeforeIsFenced) {
  kill(1);
  job_.receive(server_node(1), protocol::Heartbeat{}, 1);
  EXPECT_THAT(job_.sent<protocol::Finish>(server_node(1)), SizeIs(1));
  enroll_again(1);
  job_.receive(server_node(1), protocol::Heartbeat{}, 1);
  EXPECT_THAT(job_.sent<protocol::Finish>(server_node(1)), SizeIs(1));
}

TEST_F(Recovering, AServerThatTakesLongIsNotSilentButHasADeadline) {
  kill(1);
  const TimeNs killed = job_.now;
  enroll_again(1);
  for (TimeNs at = killed; at < killed + job_.timing.start_timeout; at += kSecond / 2) {
    for (const NodeId node : {server_node(0), worker_node(0), worker_node(1), evaluator_node(0)})
      job_.beat(node, {.kind = protocol::WaitKind::kAcknowledgement, .clock = 0, .slice = 0, .for_ns = 0});
    job_.wake_at(at);
    ASSERT_EQ(job_.core.phase(), Phase::kTraining);
  }
  job_.wake_at(killed + job_.timing.start_timeout + kSecond);
  EXPECT_EQ(job_.core.phase(), Phase::kOver);
  EXPECT_EQ(job_.core.exit_code(), static_cast<int>(Cause::kPeerLost));
}

TEST_F(Recovering, OneThatIsNotStartedAgainAfterAllEndsTheJob) {
  kill(1);
  kill(1, false);
  EXPECT_EQ(job_.core.phase(), Phase::kOver);
  ASSERT_TRUE(job_.out.end);
  EXPECT_THAT(job_.out.end->text, HasSubstr("server-1 was killed by signal 9: its part of the model is lost"));
}

TEST_F(Recovering, OneThatDiesWhileItTakesOverComesBackOnceMore) {
  kill(1);
  enroll_again(1);
  kill(1);
  EXPECT_EQ(job_.core.phase(), Phase::kTraining);
  protocol::Register message = job_.registration(server_node(1));
  message.nonce += 2000;
  job_.receive(server_node(1), message, 0);
  ASSERT_THAT(job_.sent<protocol::Welcome>(server_node(1)), SizeIs(1));
  EXPECT_EQ(job_.sent<protocol::Welcome>(server_node(1))[0].incarnation, 3u);
  ready(1, 3);
  EXPECT_EQ(state(1), "ready");
}

// The news of its second end overtakes the first words of its second life.
TEST_F(Recovering, OneThatDiedBeforeItWasHeardDoesNotTakeThePlaceOfTheNext) {
  kill(1);
  protocol::Register late = job_.registration(server_node(1)), next = late;
  late.nonce += 1000, late.pid += 1000;
  next.nonce += 2000, next.pid += 2000;
  job_.core.member_exited(job_.now, {server_node(1), -9, true, late.pid}, job_.out);
  job_.receive(server_node(1), late, 0);
  EXPECT_THAT(job_.sent<protocol::Welcome>(server_node(1)), IsEmpty());
  job_.receive(server_node(1), next, 0);
  EXPECT_THAT(job_.sent<protocol::Welcome>(server_node(1)), SizeIs(1));
  ready(1);
  EXPECT_EQ(state(1), "ready");
}

TEST_F(Recovering, OneThatWasNotAwaitedIsRefused) {
  enroll_again(1);
  EXPECT_THAT(job_.refusal(server_node(1)), testing::Optional(HasSubstr("is in the job already")));
}

TEST(RecoveringSnapshots, AreAskedForAgain) {
  Job job = job_of("bsp", 1, 2);
  job.train.steps = 2;
  Scheduler scheduler(job);
  scheduler.begin();
  // The final snapshot is announced with the first epoch: the one of clock 2, which shard 1 has heard of.
  protocol::Heartbeat heard;
  heard.snapshot = 1;
  scheduler.receive(server_node(0), heard);
  scheduler.receive(server_node(1), heard);
  scheduler.out.clear();
  scheduler.core.member_exited(scheduler.now, {server_node(1), -9, true}, scheduler.out);
  protocol::Register message = scheduler.registration(server_node(1));
  message.nonce += 1000;
  scheduler.receive(server_node(1), message, 0);
  scheduler.receive(server_node(1), protocol::Ready{}, 2);
  const auto snapshots = scheduler.sent<protocol::Snapshot>(server_node(1));
  ASSERT_FALSE(snapshots.empty());
  EXPECT_EQ(snapshots[0].id, 1u);
}

TEST(ServersThatStayLost, AreThoseWhoseStateIsNotAllThere) {
  Job compensated = job_of("asp", 2, 2), recorded = job_of("asp", 2, 2);
  compensated.optimizer.compensation.name = "constant";
  recorded.train.record = true;
  const std::pair<Job, const char*> cases[] = {
      {job_of("softsync:2", 2, 2), "in mode softsync:2 a push is acknowledged before it is in the weights"},
      {job_of("backup:0", 2, 2), "in mode backup:0 a push is acknowledged before it is in the weights"},
      {compensated, "delay compensation"},
      {recorded, "the record of the run"}};
  for (const auto& [job, why] : cases) {
    Scheduler scheduler(job);
    scheduler.begin();
    EXPECT_THAT(scheduler.core.status(scheduler.now)["servers_stay_lost"].get<std::string>(), HasSubstr(why));
    scheduler.out.clear();
    scheduler.core.member_exited(scheduler.now, {server_node(0), -9, true}, scheduler.out);
    EXPECT_EQ(scheduler.core.phase(), Phase::kOver);
    ASSERT_TRUE(scheduler.out.end);
    EXPECT_THAT(scheduler.out.end->text, HasSubstr(why));
  }
  Scheduler gathering(job_of("asp", 2, 2));
  EXPECT_EQ(gathering.core.status(gathering.now)["servers_stay_lost"], "training has not begun");
  gathering.begin();
  EXPECT_TRUE(gathering.core.status(gathering.now)["servers_stay_lost"].is_null());
}

TEST(RecoveringShards, OfOneProcessGoAndComeTogether) {
  Job job = job_of("asp", 1, 1);
  job.cluster.shard_threads = 2;
  Scheduler scheduler(job);
  for (const NodeId node : {server_node(0), server_node(1), worker_node(0), evaluator_node(0)}) scheduler.enroll(node);
  for (const NodeId node : {server_node(0), server_node(1), worker_node(0), evaluator_node(0)})
    scheduler.receive(node, protocol::Ready{});
  ASSERT_EQ(scheduler.core.phase(), Phase::kTraining);
  scheduler.out.clear();
  scheduler.core.member_exited(scheduler.now, {server_node(0), -9, true}, scheduler.out);
  for (std::uint32_t shard : {0u, 1u}) {
    EXPECT_EQ(scheduler.core.status(scheduler.now)["servers"][shard]["state"], "returning");
    protocol::Register message = scheduler.registration(server_node(shard));
    message.nonce += 1000;
    scheduler.receive(server_node(shard), message, 0);
    ASSERT_THAT(scheduler.sent<protocol::Welcome>(server_node(shard)), SizeIs(1));
    EXPECT_EQ(scheduler.sent<protocol::Welcome>(server_node(shard))[0].routing.route, 2 + shard);
  }
}

}  // namespace
}  // namespace rubato::scheduler
