// Ticks and grants by hand: what repeats do, what the dead leave, what `status` says of who waits for whom.
#include "tests/scheduler/scheduler_harness.h"

namespace rubato::scheduler {
namespace {

using protocol::WaitKind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

using Granted = std::pair<std::uint32_t, Clock>;

TEST(Stepping, BspGoesOnWhenAllHaveTicked) {
  Scheduler scheduler(job_of("bsp", 3));
  scheduler.begin();
  scheduler.tick(0, 0);
  scheduler.tick(2, 0);
  EXPECT_THAT(scheduler.granted(), IsEmpty());
  scheduler.tick(1, 0);
  EXPECT_THAT(scheduler.granted(), ElementsAre(Granted{0, 1}, Granted{1, 1}, Granted{2, 1}));
}

TEST(Stepping, SspHoldsWhoIsTooFarAhead) {
  Scheduler scheduler(job_of("ssp:2"));
  scheduler.begin();
  scheduler.tick(0, 0);
  EXPECT_THAT(scheduler.granted(), ElementsAre(Granted{0, 2}));
  scheduler.tick(0, 1);
  scheduler.tick(0, 2);
  EXPECT_THAT(scheduler.granted(), IsEmpty());
  scheduler.tick(1, 0);
  EXPECT_THAT(scheduler.granted(), UnorderedElementsAre(Granted{0, 3}, Granted{1, 2}));
}

TEST(Stepping, ARepeatedTickBringsTheGrantsAgainAndChangesNothing) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  scheduler.tick(0, 0);
  const auto first = scheduler.sent<protocol::Grant>(worker_node(0));
  scheduler.tick(0, 0);
  EXPECT_THAT(scheduler.granted(), IsEmpty());
  const auto again = scheduler.sent<protocol::Grant>(worker_node(0));
  ASSERT_THAT(first, SizeIs(1));
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(first[0].clock, 1);
  EXPECT_EQ(again[0].clock, 1);
  ASSERT_EQ(first[0].steps.size(), again[0].steps.size());
  for (std::size_t i = 0; i < again[0].steps.size(); ++i) EXPECT_EQ(first[0].steps[i].clock, again[0].steps[i].clock);
  EXPECT_EQ(scheduler.core.status(scheduler.now)["samples_done"], 10);
}

TEST(Stepping, ATickWhosePredecessorWasLostWaitsForIt) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  scheduler.tick(0, 1);
  EXPECT_EQ(scheduler.core.status(scheduler.now)["samples_done"], 0);
  scheduler.tick(0, 0);
  scheduler.tick(0, 1);
  EXPECT_EQ(scheduler.core.status(scheduler.now)["samples_done"], 20);
}

protocol::SnapshotTaken taken(std::uint64_t id) {
  protocol::SnapshotTaken message;
  message.id = id;
  return message;
}

// ---- the dead ---------------------------------------------------------------------------------------

protocol::Sealed sealed(Clock highest, std::uint32_t settled, std::uint32_t slices) {
  protocol::Sealed message;
  message.rank = 1;
  message.incarnation = 1;
  message.highest = highest;
  message.settled = settled;
  message.slices = slices;
  return message;
}

struct Fates {
  std::int64_t dropped, torn;
};

// worker-1 dies with steps 0 and 1 of 10 samples each in hand, in an epoch of 50 samples for it; 30 were never granted.
// Returns what is counted once both shards have sealed it.
Fates after_death(const protocol::Sealed& one, const protocol::Sealed& other) {
  Job job = job_of("asp", 2, 2);
  job.train.steps = 5;
  Scheduler scheduler(job);
  scheduler.begin();
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
  for (Clock clock = 0; clock < 5; ++clock) scheduler.tick(0, clock);
  EXPECT_EQ(scheduler.core.phase(), Phase::kTraining) << "the dead worker's last steps are not accounted for";
  scheduler.receive(server_node(0), one);
  scheduler.receive(server_node(1), other);
  EXPECT_EQ(scheduler.core.phase(), Phase::kFinishing);
  for (std::uint32_t shard = 0; shard < 2; ++shard) scheduler.receive(server_node(shard), taken(1));
  protocol::EvaluationDone done;
  done.snapshot = 1;
  scheduler.receive(evaluator_node(0), done);
  for (const auto& line : scheduler.core.take_metrics()) {
    if (line["event"] != "final") continue;
    EXPECT_EQ(line["samples"].get<std::int64_t>() + line["samples_dropped"].get<std::int64_t>(), 100);
    return {line["samples_dropped"], line["torn_steps"]};
  }
  ADD_FAILURE() << "no final line";
  return {-1, -1};
}

TEST(Death, WhatTheDeadWorkerHadInHandIsAccountedForByTheSeals) {
  const auto expect = [](const Fates& fates, std::int64_t dropped, std::int64_t torn) {
    EXPECT_EQ(fates.dropped, dropped);
    EXPECT_EQ(fates.torn, torn);
  };
  expect(after_death(sealed(kNoClock, 0, 1), sealed(kNoClock, 0, 2)), 50, 0);
  expect(after_death(sealed(0, 1, 1), sealed(kNoClock, 0, 2)), 50, 1);
  expect(after_death(sealed(0, 1, 1), sealed(0, 1, 2)), 50, 1);
  expect(after_death(sealed(0, 1, 1), sealed(0, 2, 2)), 40, 0);
  expect(after_death(sealed(1, 1, 1), sealed(0, 2, 2)), 40, 1);
  expect(after_death(sealed(1, 1, 1), sealed(1, 2, 2)), 30, 0);
}

// Progress gets to its end, whoever dies on the way.
TEST(Death, WhatIsLostIsNoLongerPartOfTheTotal) {
  Job job = job_of("asp", 2);
  job.train.steps = 0;
  job.train.epochs = 2;
  Scheduler scheduler(job);
  scheduler.begin();
  const auto figure = [&](const char* name) { return scheduler.core.status(scheduler.now)[name].get<int>(); };
  EXPECT_EQ(figure("samples_total"), 200);
  scheduler.tick(1, 0);
  // Of its 50 samples of this epoch 10 are settled, 20 are in hand and 20 were never granted.
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
  EXPECT_EQ(figure("samples_total"), 180);
  scheduler.receive(server_node(0), sealed(1, 1, 1));
  EXPECT_EQ(figure("samples_total"), 170);
  for (Clock clock = 0; clock < 15; ++clock) scheduler.tick(0, clock);
  EXPECT_EQ(scheduler.core.phase(), Phase::kFinishing);
  EXPECT_EQ(figure("samples_done"), 170);
  EXPECT_EQ(figure("samples_total"), 170);
}

TEST(Death, SurvivorsAreGivenTheLeavesOfAnOpenClock) {
  Scheduler scheduler(job_of("bsp", 2));
  scheduler.begin();
  scheduler.out.clear();
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
  const auto grants = scheduler.sent<protocol::Grant>(worker_node(0));
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_THAT(grants[0].steps.at(0).nodes, ElementsAre(protocol::LeafNode{1, 0}, protocol::LeafNode{1, 1}));
  EXPECT_THAT(scheduler.sent<protocol::Seal>(server_node(0)), SizeIs(1));
  EXPECT_THAT(scheduler.sent<protocol::Membership>(server_node(0)), SizeIs(1));

  scheduler.beat(worker_node(0), {WaitKind::kAcknowledgement, 0, 0, 0});
  EXPECT_THAT(scheduler.sent<protocol::Grant>(worker_node(0)), SizeIs(1)) << "the grant was lost";
}

TEST(Death, LeavesOfAClockThatWasSettledAreNotComputedAgain) {
  Scheduler scheduler(job_of("bsp", 2));
  scheduler.begin();
  scheduler.tick(1, 0);
  scheduler.out.clear();
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
  EXPECT_THAT(scheduler.sent<protocol::Grant>(worker_node(0)), IsEmpty());
}

TEST(Death, SamplesOfAClockThatIsSettledAreAllCountedWhoeverComputedThem) {
  for (const bool before : {true, false}) {
    Scheduler scheduler(job_of("bsp", 2));
    scheduler.begin();
    // 6 samples are in the leaves of worker 0; those of worker 1 were applied, and its tick never comes.
    if (before) scheduler.tick(0, 0, 6);
    scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
    if (!before) scheduler.tick(0, 0, 6);
    EXPECT_EQ(scheduler.core.status(scheduler.now)["samples_done"], 10);
  }
}

// ---- the end ----------------------------------------------------------------------------------------

TEST(Ending, FinishIsSaidAgainToWhoStillSpeaks) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  scheduler.out.clear();
  scheduler.core.member_exited(scheduler.now, {server_node(0), -9}, scheduler.out);
  EXPECT_THAT(scheduler.sent<protocol::Finish>(worker_node(0)), SizeIs(1));
  scheduler.beat(worker_node(0));
  const auto again = scheduler.sent<protocol::Finish>(worker_node(0));
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_THAT(again[0].text, HasSubstr("server-0 was killed by signal 9"));
  scheduler.receive(worker_node(0), protocol::Goodbye{0, ""});
  EXPECT_THAT(scheduler.out.messages, IsEmpty());
}

TEST(Ending, AWorkerThatDiesAfterItsLastStepFailsNothing) {
  Job job = job_of("asp", 1);
  job.train.steps = 1;
  Scheduler scheduler(job);
  scheduler.begin();
  scheduler.tick(0, 0);
  ASSERT_EQ(scheduler.core.phase(), Phase::kFinishing);
  scheduler.core.member_exited(scheduler.now, {worker_node(0), -9}, scheduler.out);
  EXPECT_EQ(scheduler.core.phase(), Phase::kFinishing);
}

// A full disk, say. Killed or crashed ones are started again, so those are waited for.
TEST(Ending, AnEvaluatorThatCannotWriteTheWeightsEndsTheJob) {
  for (const int code : {-9, 1, 8}) {
    Job job = job_of("asp", 1);
    job.train.steps = 1;
    Scheduler scheduler(job);
    scheduler.begin();
    scheduler.tick(0, 0);
    ASSERT_EQ(scheduler.core.phase(), Phase::kFinishing);
    scheduler.core.member_exited(scheduler.now, {evaluator_node(0), code}, scheduler.out);
    EXPECT_EQ(scheduler.core.phase(), code == 8 ? Phase::kOver : Phase::kFinishing) << code;
    EXPECT_EQ(scheduler.core.exit_code(), code == 8 ? 8 : 0);
  }
}

// Or else the job would train to its end, and nobody would write what came of it.
TEST(Ending, AnEvaluatorThatWouldEndSoAgainEndsTheJob) {
  for (const int code : {-9, 1, 3, 8, 11, 13}) {
    Scheduler scheduler(job_of("asp", 1));
    scheduler.begin();
    if (code > 1)
      scheduler.receive(evaluator_node(0), protocol::Goodbye{code, "x.png: damaged"});
    else
      scheduler.core.member_exited(scheduler.now, {evaluator_node(0), code}, scheduler.out);
    const bool over = code == 3 || code == 8 || code == 13;
    EXPECT_EQ(scheduler.core.phase(), over ? Phase::kOver : Phase::kTraining) << code;
    EXPECT_EQ(scheduler.core.exit_code(), over ? code : 0);
    if (over) {
      EXPECT_EQ(scheduler.out.end->text,
                "evaluator-0: x.png: damaged: without an evaluator nobody would write the final weights");
    }
  }
}

// Others would take over its samples, and read the same.
TEST(Ending, AWorkerThatCannotReadItsDataEndsTheJob) {
  for (const char* const mode : {"bsp", "ssp:2", "asp", "local:2"}) {
    Scheduler scheduler(job_of(mode, 3));
    scheduler.begin();
    scheduler.receive(worker_node(1), protocol::Goodbye{static_cast<int>(Cause::kData), "x.png: damaged"});
    EXPECT_EQ(scheduler.core.phase(), Phase::kOver) << mode;
    EXPECT_EQ(scheduler.core.exit_code(), static_cast<int>(Cause::kData)) << mode;
    ASSERT_TRUE(scheduler.out.end.has_value());
    EXPECT_EQ(scheduler.out.end->text, "worker-1: x.png: damaged") << "it is its own sentence";
  }
}

TEST(Ending, AnAbortIsWrittenDownAndSaidToAll) {
  Scheduler scheduler(job_of("ssp:2", 2));
  scheduler.begin();
  scheduler.core.drain(scheduler.now, scheduler.out);
  (void)scheduler.core.take_metrics();
  scheduler.out.clear();
  for (int i = 0; i < 2; ++i)
    scheduler.core.abort(scheduler.now, Cause::kInterrupted, "told to stop a second time", scheduler.out);
  const auto lines = scheduler.core.take_metrics();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["event"], "failed");
  EXPECT_EQ(lines[0]["exit_code"], 130);
  EXPECT_EQ(scheduler.core.status(scheduler.now)["state"], "interrupted");
  EXPECT_EQ(lines[0]["reason"], "told to stop a second time");
  for (const NodeId node : scheduler.members())
    EXPECT_EQ(scheduler.sent<protocol::Finish>(node).front().exit_code, 130);
}

// Everybody lives on, up to that time or the job's end.
void live_until(Scheduler& scheduler, TimeNs end) {
  while (scheduler.now < end && scheduler.core.phase() != Phase::kOver) {
    scheduler.wake_at(scheduler.now + scheduler.timing.heartbeat);
    if (scheduler.core.phase() == Phase::kOver) return;
    for (const NodeId node : scheduler.members()) scheduler.beat(node);
  }
}

TEST(Ending, AnEvaluatorThatLivesAndDoesNotEndItsEvaluationEndsTheJob) {
  Job job = job_of("asp", 1);
  job.train.steps = 1;
  Scheduler scheduler(job);
  scheduler.begin();
  scheduler.tick(0, 0);
  scheduler.receive(server_node(0), taken(1));
  ASSERT_THAT(scheduler.sent<protocol::Evaluate>(evaluator_node(0)), SizeIs(1));
  const TimeNs limit = scheduler.now + scheduler.timing.evaluation;
  live_until(scheduler, limit);
  EXPECT_EQ(scheduler.core.phase(), Phase::kFinishing);
  live_until(scheduler, limit + 2 * scheduler.timing.heartbeat);
  ASSERT_EQ(scheduler.core.phase(), Phase::kOver);
  EXPECT_EQ(scheduler.core.exit_code(), static_cast<int>(Cause::kPeerLost));
  ASSERT_TRUE(scheduler.out.end.has_value());
  EXPECT_THAT(scheduler.out.end->text, HasSubstr("evaluator-0 lives and has not ended the evaluation of epoch 1"));
  EXPECT_THAT(scheduler.out.end->text, HasSubstr("evaluation.timeout_s"));
}

// How long an evaluator may take for the last evaluation, whose first one took half of evaluation.timeout_s, in times
// of that.
double given_after_a_slow_one(double holdout) {
  Job job = job_of("asp", 1);
  job.evaluation.holdout = holdout;
  job.train.steps = 0;
  job.train.epochs = 2;
  job.train.batch = 100;  // an epoch is one clock
  job.evaluation.enabled = true;
  Scheduler scheduler(job);
  scheduler.begin();
  scheduler.tick(0, 0, 100);
  scheduler.tick(0, 1, 100);
  EXPECT_EQ(scheduler.core.phase(), Phase::kFinishing);
  scheduler.receive(server_node(0), taken(1));
  scheduler.receive(server_node(0), taken(2));
  const TimeNs slow = scheduler.timing.evaluation / 2;
  live_until(scheduler, scheduler.now + slow);
  protocol::EvaluationDone done;
  done.snapshot = 1;
  scheduler.receive(evaluator_node(0), done);
  const TimeNs begin = scheduler.now;
  live_until(scheduler, begin + 60 * slow);
  return seconds(scheduler.now - begin) / seconds(slow);
}

TEST(Ending, AnEvaluatorThatWasSlowBeforeIsGivenTheTimeItTakes) {
  EXPECT_NEAR(given_after_a_slow_one(0.0), 20.0, 0.5);
  EXPECT_NEAR(given_after_a_slow_one(0.25), 28.0, 0.5) << "twice a test set of four times what was held out, besides";
  EXPECT_NEAR(given_after_a_slow_one(1e-300), 60.0, 0.5) << "for as long as is looked here";
}

TEST(Ending, SnapshotsThatADrainCancelsMakeRoomForTheFinalOne) {
  Job job = job_of("asp", 2);
  job.train.steps = 0;
  job.train.epochs = 100;
  job.train.batch = 50;  // an epoch is one clock
  job.evaluation.enabled = true;
  Scheduler scheduler(job);
  scheduler.begin();
  for (Clock clock = 0; clock < 20; ++clock) scheduler.tick(0, clock, 50);
  scheduler.core.drain(scheduler.now, scheduler.out);
  for (Clock clock = 20; clock < 22; ++clock) scheduler.tick(0, clock, 50);
  scheduler.tick(1, 0, 50);
  scheduler.tick(1, 1, 50);
  ASSERT_EQ(scheduler.core.phase(), Phase::kFinishing);
  // Of epochs 1 and 2 the snapshots are still to be read; later ones will never be due, and the one of epoch 3
  // was announced when the slow worker reached it.
  const auto announced = scheduler.sent<protocol::Snapshot>(server_node(0));
  ASSERT_FALSE(announced.empty());
  const protocol::Snapshot& final = announced.back();
  EXPECT_EQ(final.clock, 2);
  for (const std::uint64_t id : {1u, 2u}) {
    scheduler.receive(server_node(0), taken(id));
    protocol::EvaluationDone done;
    done.snapshot = id;
    scheduler.receive(evaluator_node(0), done);
  }
  const auto released = scheduler.sent<protocol::SnapshotRelease>(server_node(0));
  ASSERT_THAT(released, SizeIs(1));
  EXPECT_EQ(released[0].id, final.id - 1);
}

// ---- who lives and does not move --------------------------------------------------------------------

// A first step of a large model takes long; as long as anything comes of it, it is no dead one.
TEST(Moving, WhoGetsOnWithItsStepStaysAndWhoStandsStillIsEvicted) {
  Scheduler scheduler(job_of("asp", 2));
  scheduler.begin();
  const TimeNs began = scheduler.now;
  const auto still_for = [&](TimeNs since) {
    return protocol::Waiting{WaitKind::kNothing, 0, 0, static_cast<std::uint64_t>(scheduler.now - since)};
  };
  TimeNs moved = began;  // worker 0: now and then, for a while
  const auto run_to = [&](TimeNs end, const std::function<bool()>& done) {
    while (scheduler.now < end && !done()) {
      scheduler.now += scheduler.timing.heartbeat;
      if (scheduler.now < began + 2 * scheduler.timing.evict_after &&
          scheduler.now - moved > scheduler.timing.evict_after / 3)
        moved = scheduler.now;
      scheduler.beat(server_node(0));
      scheduler.beat(worker_node(0), still_for(moved));
      scheduler.beat(worker_node(1), still_for(began));
      scheduler.wake_at(scheduler.now);
    }
  };
  const auto state = [&](std::size_t worker) {
    return scheduler.core.status(scheduler.now)["workers"][worker]["state"].get<std::string>();
  };
  run_to(began + 4 * scheduler.timing.evict_after, [&] { return state(1) == "evicted"; });
  EXPECT_EQ(state(1), "evicted");
  EXPECT_LE(scheduler.now, began + scheduler.timing.evict_after + 2 * scheduler.timing.heartbeat);
  run_to(began + 2 * scheduler.timing.evict_after, [] { return false; });
  EXPECT_EQ(state(0), "computing");
  run_to(began + 4 * scheduler.timing.evict_after, [&] { return state(0) == "evicted"; });
  EXPECT_EQ(state(0), "evicted");
  EXPECT_GT(scheduler.now, moved + scheduler.timing.evict_after);
  EXPECT_LE(scheduler.now, moved + scheduler.timing.evict_after + 2 * scheduler.timing.heartbeat);
}

// A clock of local:H is H steps.
TEST(Moving, MuchPatienceWithLongClocksHasNoEnd) {
  Job job = job_of("local:1000000", 2);
  job.consistency.evict_after_s = 1e6;
  Scheduler scheduler(job, protocol::timing_of(job));
  scheduler.begin();
  for (int beat = 0; beat < 8; ++beat) {
    scheduler.now += scheduler.timing.heartbeat;
    for (const NodeId node : {server_node(0), worker_node(0), worker_node(1)}) scheduler.beat(node);
    scheduler.wake_at(scheduler.now);
  }
  for (const std::size_t worker : {0, 1})
    EXPECT_EQ(scheduler.core.status(scheduler.now)["workers"][worker]["state"], "computing");
}

// ---- status -----------------------------------------------------------------------------------------

TEST(Status, SaysWhoWaitsForWhomAndForHowLong) {
  Scheduler scheduler(job_of("ssp:0", 3));
  scheduler.begin();
  scheduler.tick(0, 0);
  scheduler.tick(2, 0);
  scheduler.beat(worker_node(0), {WaitKind::kGrant, 1, 0, static_cast<std::uint64_t>(2 * kSecond)});
  scheduler.beat(worker_node(1));
  scheduler.beat(worker_node(2), {WaitKind::kWeights, 1, 0, static_cast<std::uint64_t>(kSecond)});
  const auto status = scheduler.core.status(scheduler.now + kSecond);
  EXPECT_EQ(status["state"], "training");
  EXPECT_EQ(status["mode"], "ssp:0");
  EXPECT_EQ(status["bound"], 0);
  EXPECT_EQ(status["clock_min"], 0);
  EXPECT_EQ(status["clock_max"], 1);
  const auto& workers = status["workers"];
  ASSERT_EQ(workers.size(), 3u);
  EXPECT_EQ(workers[0]["state"], "waiting");
  EXPECT_EQ(workers[0]["clock"], 1);
  EXPECT_EQ(workers[0]["lead"], 1);
  EXPECT_EQ(workers[0]["waiting_for"]["what"], "grant");
  EXPECT_EQ(workers[0]["waiting_for"]["clock"], 1);
  EXPECT_THAT(workers[0]["waiting_for"]["of"], ElementsAre("worker-1"));
  EXPECT_NEAR(workers[0]["waiting_for"]["since_s"].get<double>(), 3.0, 1e-9);
  EXPECT_EQ(workers[1]["state"], "computing");
  EXPECT_TRUE(workers[1]["waiting_for"].is_null());
  EXPECT_EQ(workers[2]["waiting_for"]["what"], "weights");
  EXPECT_THAT(workers[2]["waiting_for"]["of"], ElementsAre("worker-1")) << "a pull waits until it has pushed";
  EXPECT_EQ(workers[2]["waiting_for"]["slice"], 0);
}

TEST(Status, ATickSaysMoreThanTheWordBeforeIt) {
  Scheduler scheduler(job_of("ssp:1", 2));
  scheduler.begin();
  scheduler.tick(0, 0);
  scheduler.beat(worker_node(0), {WaitKind::kAcknowledgement, 1, 0, static_cast<std::uint64_t>(kSecond)});
  scheduler.tick(0, 1);
  const auto status = scheduler.core.status(scheduler.now + kSecond);
  EXPECT_EQ(status["workers"][0]["waiting_for"]["what"], "grant");
  EXPECT_EQ(status["workers"][0]["waiting_for"]["clock"], 2);
  EXPECT_NEAR(status["workers"][0]["waiting_for"]["since_s"].get<double>(), 1.0, 1e-9);
}

TEST(Status, WhoIsSilentIsWaitedForWhateverItSaidLast) {
  Scheduler scheduler(job_of("ssp:0", 2));
  scheduler.begin();
  scheduler.tick(0, 0);
  scheduler.beat(worker_node(1), {WaitKind::kWeights, 0, 0, 0});
  scheduler.now += kSecond;  // and then it was stopped
  scheduler.beat(worker_node(0), {WaitKind::kGrant, 1, 0, static_cast<std::uint64_t>(kSecond)});
  const auto status = scheduler.core.status(scheduler.now);
  EXPECT_THAT(status["workers"][0]["waiting_for"]["of"], ElementsAre("worker-1"));
}

TEST(Status, WhereAllWaitItIsTheShardsTurn) {
  Scheduler scheduler(job_of("bsp", 2));
  scheduler.begin();
  for (std::uint32_t rank = 0; rank < 2; ++rank)
    scheduler.beat(worker_node(rank), {WaitKind::kAcknowledgement, 0, 0, static_cast<std::uint64_t>(kSecond)});
  const auto status = scheduler.core.status(scheduler.now);
  for (const auto& worker : status["workers"]) EXPECT_THAT(worker["waiting_for"]["of"], ElementsAre("server-0"));
}

TEST(Status, WhereNoShardWaitsForAWorkerItIsTheShardsTurn) {
  for (const auto& [mode, kind, of] :
       {std::tuple("asp", WaitKind::kWeights, "server-0"), std::tuple("asp", WaitKind::kAcknowledgement, "server-0"),
        std::tuple("ssp:3", WaitKind::kAcknowledgement, "server-0"),
        std::tuple("ssp:3", WaitKind::kWeights, "worker-1"),
        std::tuple("bsp", WaitKind::kAcknowledgement, "worker-1")}) {
    Scheduler scheduler(job_of(mode, 2));
    scheduler.begin();
    scheduler.beat(worker_node(0), {kind, 0, 0, static_cast<std::uint64_t>(kSecond)});
    scheduler.beat(worker_node(1));
    const auto status = scheduler.core.status(scheduler.now);
    EXPECT_THAT(status["workers"][0]["waiting_for"]["of"], ElementsAre(of)) << mode;
  }
}

TEST(Status, TheLostAndTheEvictedAreThereWithTheReason) {
  Scheduler scheduler(job_of("asp", 3));
  scheduler.begin();
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
  const auto status = scheduler.core.status(scheduler.now);
  EXPECT_EQ(status["workers"][1]["state"], "lost");
  EXPECT_THAT(status["events"].back()["text"].get<std::string>(),
              HasSubstr("worker-1 was killed by signal 9 at clock 0; 2 of 3 workers go on"));
  EXPECT_EQ(status["events"].back()["level"], "warning");
}

}  // namespace
}  // namespace rubato::scheduler
