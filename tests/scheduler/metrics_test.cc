// Lines of metrics.jsonl, and who waited for whom.
#include "scheduler/wait_ledger.h"
#include "tests/scheduler/scheduler_harness.h"

namespace rubato::scheduler {
namespace {

using Json = nlohmann::ordered_json;

std::vector<Json> lines_of(Scheduler& scheduler, const std::string& event) {
  std::vector<Json> found;
  for (Json& line : scheduler.core.take_metrics())
    if (line["event"] == event) found.push_back(std::move(line));
  return found;
}

// A step that worker has computed `settling` ago.
void tick_at(Scheduler& scheduler, TimeNs time, std::uint32_t worker, Clock clock, TimeNs settling = 0) {
  scheduler.now = time;
  protocol::Tick tick;
  tick.clock = clock;
  tick.samples = 10;
  tick.loss_sum = 20.0;
  tick.step_ns = kMillisecond;
  tick.settling_ns = static_cast<std::uint64_t>(settling);
  tick.wait_ns = 3 * kMillisecond;
  tick.weights_ns = kMillisecond;
  tick.ages = {{static_cast<std::uint64_t>(worker), 1}};
  scheduler.receive(worker_node(worker), tick);
}

// ---- waits of the last seconds --------------------------------------------------------------------------

TEST(RecentWaits, SharesOfTheLastSeconds) {
  RecentWaits waits;
  EXPECT_EQ(waits.of(0, 5 * kSecond).share, 0.0);
  // Three quarters of every 20 ms, two thirds of them for worker 1.
  for (TimeNs at = 0; at < 10 * kSecond; at += 20 * kMillisecond) {
    waits.add(0, 1, at, at + 10 * kMillisecond);
    waits.add(0, 2, at + 10 * kMillisecond, at + 15 * kMillisecond);
    waits.add(0, 0, at, at + 20 * kMillisecond);
  }
  for (const TimeNs at : {10 * kSecond - 1, 10 * kSecond}) {
    EXPECT_NEAR(waits.of(0, at).share, 0.75, 0.01);
    EXPECT_EQ(waits.of(0, at).culprit, 1u);
    EXPECT_EQ(waits.of(1, at).culprit, std::nullopt);
  }
  EXPECT_NEAR(waits.of(0, 11 * kSecond).share, 0.5, 0.01) << "nobody waits now";
  EXPECT_EQ(waits.of(0, 14 * kSecond).share, 0.0) << "forgotten";
  waits.add(0, 3, 20 * kSecond, 90 * kSecond);
  EXPECT_EQ(waits.of(0, 90 * kSecond).share, 1.0);
  EXPECT_EQ(waits.of(0, 90 * kSecond).culprit, 3u);
}

TEST(Status, SaysWhoWaitedForWhomLately) {
  Job job = job_of("bsp");
  Scheduler scheduler(job);
  scheduler.begin();
  for (Clock clock = 0; clock < 40; ++clock) {
    const TimeNs time = scheduler.now + 50 * kMillisecond;
    tick_at(scheduler, time, 0, clock);
    tick_at(scheduler, time, 1, clock, 45 * kMillisecond);
  }
  const Json status = scheduler.core.status(scheduler.now);
  EXPECT_EQ(status["workers"][1]["waited_for"], "worker-0");
  EXPECT_GT(status["workers"][1]["waited_share"], 0.4);
  EXPECT_EQ(status["workers"][0]["waited_for"], nullptr);
}

TEST(Metrics, TheNinetyNinthPercentileOfAges) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  for (Clock clock = 0; clock < 5; ++clock)
    for (const std::uint32_t worker : {0u, 1u}) {
      protocol::Tick tick;
      tick.clock = clock;
      tick.samples = 10;
      tick.step_ns = kMillisecond;
      tick.ages = {{1, 94}, {5, 4}, {9, 2}};
      scheduler.receive(worker_node(worker), tick);
    }
  const auto epochs = lines_of(scheduler, "epoch");
  ASSERT_EQ(epochs.size(), 1u);
  EXPECT_EQ(epochs[0]["age_p99"], 9);
  EXPECT_NEAR(epochs[0]["age_mean"].get<double>(), 0.94 + 0.2 + 0.18, 1e-12);
}

TEST(Evaluations, AreNamedForWhatTheyAreMadeOn) {
  for (const std::string part : {"test", "validation"}) {
    Job job = job_of("asp", 1);
    job.train.steps = 1;
    job.evaluation.enabled = true;
    job.evaluation.part = part;
    Scheduler scheduler(job);
    scheduler.begin();
    const std::string accuracy = part + "_accuracy", other = part == "test" ? "validation" : "test";
    EXPECT_TRUE(scheduler.core.status(scheduler.now).contains(accuracy)) << "and is null";
    scheduler.tick(0, 0);
    scheduler.receive(server_node(0), protocol::SnapshotTaken{1, true, {}});
    protocol::EvaluationDone done;
    done.snapshot = 1;
    done.figures.evaluated = true;
    done.figures.loss = 2.0;
    done.figures.accuracy = 0.25;
    scheduler.receive(evaluator_node(0), done);
    const std::vector<Json> final = lines_of(scheduler, "final");
    ASSERT_EQ(final.size(), 1u);
    for (const Json& said : {final[0], Json(scheduler.core.status(scheduler.now))}) {
      EXPECT_EQ(said[accuracy], 0.25);
      EXPECT_EQ(said[part + "_loss"], 2.0);
      EXPECT_FALSE(said.contains(other + "_accuracy") || said.contains(other + "_loss"));
    }
  }
}

TEST(Status, AWorkersRateIsThatOfItsTicks) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  TimeNs time = scheduler.now;
  for (Clock clock = 0; clock < 100; ++clock)  // in pairs: 20 samples every 40 ms
    tick_at(scheduler, time += (clock % 2 == 0 ? 38 : 2) * kMillisecond, 0, clock);
  EXPECT_NEAR(scheduler.core.status(scheduler.now)["workers"][0]["samples_per_s"].get<double>(), 500, 30);
}

TEST(Status, WhoHasNothingLeftInAJobThatDrainsIsDone) {
  Scheduler scheduler(job_of("ssp:2"));
  scheduler.begin();
  scheduler.core.drain(scheduler.now, scheduler.out);
  for (Clock clock = 0; clock < 2; ++clock) scheduler.tick(0, clock);
  scheduler.beat(worker_node(0), {protocol::WaitKind::kGrant, 2, 0, kMillisecond});
  const Json workers = scheduler.core.status(scheduler.now)["workers"];
  EXPECT_EQ(workers[0]["state"], "done");
  EXPECT_EQ(workers[0]["waiting_for"], nullptr);
  EXPECT_EQ(workers[1]["state"], "computing");
}

protocol::Alarm alarm_of(std::uint64_t number, SliceId slice, Clock clock,
                         std::uint64_t element = protocol::Alarm::kNoElement) {
  return {.slice = slice, .worker = 1, .clock = clock, .element = element, .number = number};
}

TEST(Alarms, AreTakenOnceInTheirOrderAndEachIsAnswered) {
  Scheduler scheduler(job_of("asp", 2, 2));
  scheduler.begin();
  const auto known_after = [&](NodeId shard, std::uint64_t number) {
    scheduler.receive(shard, alarm_of(number, 0, static_cast<Clock>(number)));
    return scheduler.sent<protocol::Beat>(shard).at(0).alarms;
  };
  EXPECT_EQ(known_after(server_node(0), 2), 0u) << "the first was lost";
  EXPECT_EQ(known_after(server_node(0), 1), 1u);
  EXPECT_EQ(known_after(server_node(0), 2), 2u);
  EXPECT_EQ(known_after(server_node(0), 1), 2u) << "the answer was lost";
  EXPECT_EQ(known_after(server_node(1), 1), 1u) << "each shard counts its own";
  std::vector<Clock> clocks;
  for (const Json& line : lines_of(scheduler, "nonfinite")) clocks.push_back(line["clock"]);
  EXPECT_EQ(clocks, (std::vector<Clock>{1, 2, 1}));
  scheduler.beat(server_node(0));
  EXPECT_EQ(scheduler.sent<protocol::Beat>(server_node(0)).at(0).alarms, 2u);
}

TEST(Alarms, ADivergedJobDoesNotFillTheScreen) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  std::size_t said = 0;
  for (Clock clock = 0; clock < 1000; ++clock) {
    scheduler.receive(server_node(0), alarm_of(clock + 1, 0, clock));
    for (const auto& note : scheduler.out.notes) said += note.level == protocol::Level::kWarning ? 1 : 0;
  }
  EXPECT_EQ(said, 8u + 6u) << "the first eight, and the 16th to the 512th";
  EXPECT_EQ(lines_of(scheduler, "nonfinite").size(), 1000u) << "the metrics have all";
}

TEST(Alarms, NameTheParameterAndItsNumber) {
  Scheduler scheduler(job_of("asp"));
  scheduler.begin();
  scheduler.receive(server_node(0), alarm_of(1, 0, 3, 7));
  scheduler.receive(server_node(0), alarm_of(2, 0, 4));
  scheduler.receive(server_node(0), alarm_of(3, 99, 5, 7));
  const std::vector<Json> lines = lines_of(scheduler, "nonfinite");
  ASSERT_EQ(lines.size(), 2u) << "of a slice that there is not there is nothing to say";
  EXPECT_EQ(lines[0]["parameter"], "w");
  EXPECT_EQ(lines[0]["element"], 7);
  EXPECT_EQ(lines[1]["parameter"], "w[0..32)") << "the gradient was finite, and the update was not";
  EXPECT_FALSE(lines[1].contains("element"));
}

// ---- the ledger ---------------------------------------------------------------------------------------

TEST(WaitLedger, AddsUpPairsAndWorkers) {
  WaitLedger waits;
  EXPECT_TRUE(waits.add(0, 1, 0, kMillisecond));
  EXPECT_FALSE(waits.add(0, 1, 0, kMillisecond - 1)) << "too short for a line";
  EXPECT_FALSE(waits.add(1, 1, 0, kSecond)) << "nobody waits for himself";
  EXPECT_FALSE(waits.add(2, 1, kSecond, kSecond)) << "no time at all";
  ASSERT_EQ(waits.pairs().size(), 1u);
  EXPECT_EQ(waits.pairs().at({0, 1}), 2 * kMillisecond - 1);
  EXPECT_EQ(waits.of(0).waited, 2 * kMillisecond - 1);
  EXPECT_EQ(waits.of(1).held_up, 2 * kMillisecond - 1);
  EXPECT_EQ(waits.of(2).waited, 0);
  EXPECT_EQ(waits.unlisted(), 1u);
  EXPECT_EQ(waits.unlisted_time(), kMillisecond - 1);
}

TEST(WaitLedger, LinesAndPairsAreBoundedAndSumsAreNot) {
  WaitLedger waits;
  std::uint64_t lines = 0;
  const std::uint32_t workers = WaitLedger::kPairsMax + 10;
  for (std::uint32_t worker = 1; worker <= workers; ++worker) lines += waits.add(worker, 0, 0, kSecond) ? 1 : 0;
  EXPECT_EQ(lines, WaitLedger::kLinesMax);
  EXPECT_EQ(waits.unlisted(), workers - WaitLedger::kLinesMax);
  EXPECT_EQ(waits.pairs().size(), WaitLedger::kPairsMax);
  EXPECT_EQ(waits.of(0).held_up, workers * kSecond);
  EXPECT_EQ(waits.of(workers).waited, kSecond);
}

// ---- waits --------------------------------------------------------------------------------------------

TEST(Metrics, AtTheBoundAWorkerWaitsForTheOneThatRaisesTheLeastClock) {
  Scheduler scheduler(job_of("ssp:1", 3));
  scheduler.begin();
  const TimeNs start = scheduler.now;
  tick_at(scheduler, start + 10 * kMillisecond, 0, 0);
  tick_at(scheduler, start + 20 * kMillisecond, 0, 1);  // at clock 2 now, and held
  tick_at(scheduler, start + 25 * kMillisecond, 2, 0);
  tick_at(scheduler, start + 60 * kMillisecond, 1, 0);  // the last to leave clock 0
  const auto waits = lines_of(scheduler, "wait");
  ASSERT_EQ(waits.size(), 1u);
  EXPECT_EQ(waits[0]["worker"], "worker-0");
  EXPECT_EQ(waits[0]["for"], "worker-1");
  EXPECT_EQ(waits[0]["clock"], 1);
  EXPECT_NEAR(waits[0]["from_s"].get<double>(), 0.020, 1e-9);
  EXPECT_NEAR(waits[0]["to_s"].get<double>(), 0.060, 1e-9);
}

TEST(Metrics, WhoHasAStepInHandDoesNotWait) {
  Scheduler scheduler(job_of("ssp:1", 2));
  scheduler.begin();
  tick_at(scheduler, scheduler.now + 10 * kMillisecond, 0, 0);
  tick_at(scheduler, scheduler.now + 90 * kMillisecond, 1, 0);
  EXPECT_TRUE(lines_of(scheduler, "wait").empty());
}

TEST(Metrics, WhatADeadWorkerHeldUpIsItsDoing) {
  Scheduler scheduler(job_of("ssp:0", 2));
  scheduler.begin();
  tick_at(scheduler, scheduler.now + 10 * kMillisecond, 0, 0);
  scheduler.now += 70 * kMillisecond;
  scheduler.out.clear();
  scheduler.core.member_exited(scheduler.now, {worker_node(1), -9}, scheduler.out);
  const auto waits = lines_of(scheduler, "wait");
  ASSERT_EQ(waits.size(), 1u);
  EXPECT_EQ(waits[0]["for"], "worker-1");
}

// All ticks of a bsp clock come at once; who was done computing last shows in the ticks.
TEST(Metrics, InBspOthersWaitForWhoComputesLongest) {
  Scheduler scheduler(job_of("bsp", 3));
  scheduler.begin();
  const TimeNs end = scheduler.now + 100 * kMillisecond;
  tick_at(scheduler, end, 0, 0, 60 * kMillisecond);
  tick_at(scheduler, end, 1, 0, 5 * kMillisecond);
  tick_at(scheduler, end, 2, 0, 30 * kMillisecond);
  const auto waits = lines_of(scheduler, "wait");
  ASSERT_EQ(waits.size(), 2u);
  EXPECT_EQ(waits[0]["worker"], "worker-0");
  EXPECT_EQ(waits[0]["for"], "worker-1");
  EXPECT_NEAR(waits[0]["to_s"].get<double>() - waits[0]["from_s"].get<double>(), 0.055, 1e-9);
  EXPECT_EQ(waits[1]["worker"], "worker-2");
  EXPECT_NEAR(waits[1]["to_s"].get<double>() - waits[1]["from_s"].get<double>(), 0.025, 1e-9);
}

// ---- progress, evaluations, the end -------------------------------------------------------------------

TEST(Metrics, ProgressIsToldTwentyTimesAnEpoch) {
  Job job = job_of("asp", 1);
  job.train.steps = 0;
  job.train.epochs = 2;
  job.train.batch = 5;
  Scheduler scheduler(job);  // 100 samples an epoch
  scheduler.begin();
  for (Clock clock = 0; clock < 4; ++clock) tick_at(scheduler, scheduler.now + kMillisecond, 0, clock);
  const auto lines = lines_of(scheduler, "progress");
  ASSERT_EQ(lines.size(), 4u) << "each of these ticks tells of more than a twentieth";
  EXPECT_EQ(lines[1]["updates"], 2);
  EXPECT_EQ(lines[1]["samples_settled"], 20);
  EXPECT_EQ(lines[1]["train_loss"], 2.0);
  EXPECT_EQ(lines[1]["rate"], job.optimizer.rate);
}

// Plays a job of two workers and a few steps to its end; worker 1 is the slow one.
Json final_line(const std::string& mode) {
  Job job = job_of(mode);
  job.train.steps = 4;
  Scheduler scheduler(job);
  scheduler.begin();
  const TimeNs start = scheduler.now;
  for (Clock clock = 0; clock < 4; ++clock) {
    const TimeNs end = start + (clock + 1) * 100 * kMillisecond;
    const bool together = mode == "bsp";
    tick_at(scheduler, together ? end : end - 50 * kMillisecond, 0, clock, together ? 40 * kMillisecond : 0);
    tick_at(scheduler, end, 1, clock);
    protocol::Heartbeat beat;
    beat.snapshot = 1;  // in bsp the last step waits until the shard knows of the snapshot behind it
    scheduler.receive(server_node(0), beat);
  }
  protocol::SnapshotTaken taken;
  taken.id = 1;
  scheduler.receive(server_node(0), taken);
  scheduler.now += kSecond;
  protocol::EvaluationDone done;
  done.snapshot = 1;
  done.figures.evaluated = true;
  done.figures.accuracy = 0.5;
  scheduler.receive(evaluator_node(0), done);
  const auto lines = lines_of(scheduler, "final");
  return lines.empty() ? Json() : lines.front();
}

TEST(Metrics, FinalTellsWhenItsClockWasReachedAndHowFarTheJobWas) {
  for (const std::string mode : {"bsp", "ssp:0", "asp"}) {
    SCOPED_TRACE(mode);
    const Json line = final_line(mode);
    ASSERT_FALSE(line.is_null());
    EXPECT_NEAR(line["reached_s"].get<double>(), 0.4, 1e-9) << "not when the evaluator was done";
    EXPECT_NEAR(line["time_s"].get<double>(), 1.4, 1e-9);
    EXPECT_EQ(line["updates"], mode == "bsp" ? 4 : 8) << "an aggregate is one update";
    EXPECT_EQ(line["samples_settled"], mode == "bsp" ? 40 : 80);
    EXPECT_EQ(line["samples_settled"], line["samples"]);
  }
}

TEST(Metrics, FinalHasAgesWorkersAndTheMatrix) {
  const Json line = final_line("ssp:0");
  EXPECT_EQ(line["ages"], Json::parse("[[0, 4], [1, 4]]"));
  ASSERT_EQ(line["workers"].size(), 2u);
  const Json& fast = line["workers"][0];
  EXPECT_EQ(fast["worker"], "worker-0");
  EXPECT_EQ(fast["steps"], 4);
  EXPECT_EQ(fast["samples"], 40);
  EXPECT_NEAR(fast["wait_s"].get<double>(), 0.012, 1e-9);
  EXPECT_NEAR(fast["wait_weights_s"].get<double>(), 0.004, 1e-9);
  EXPECT_NEAR(fast["wait_workers_s"].get<double>(), 0.15, 1e-9) << "50 ms after each step but the last";
  EXPECT_EQ(fast["held_up_s"], 0.0);
  EXPECT_NEAR(line["workers"][1]["held_up_s"].get<double>(), 0.15, 1e-9);
  ASSERT_EQ(line["waits"].size(), 1u);
  EXPECT_EQ(line["waits"][0][0], "worker-0");
  EXPECT_EQ(line["waits"][0][1], "worker-1");
  EXPECT_NEAR(line["waits"][0][2].get<double>(), 0.15, 1e-9);
  EXPECT_EQ(line["waits_unlisted"], 0);
  EXPECT_NEAR(line["wait_share"].get<double>(), 0.024 / 0.75, 1e-6);
}

// ---- evaluations in between ---------------------------------------------------------------------------

// Clocks of the snapshots that shards were told of while one worker goes through its epochs of 5 clocks.
std::vector<Clock> snapshots_of(std::int64_t per_epoch, std::int64_t every_epochs = 1) {
  Job job = job_of("asp", 1);
  job.train.steps = 0;
  job.train.epochs = 2;
  job.train.batch = 20;
  job.evaluation = {.enabled = true, .every_epochs = every_epochs, .per_epoch = per_epoch};
  Scheduler scheduler(job);
  std::vector<Clock> found;
  const auto collect = [&] {
    for (const auto& message : scheduler.sent<protocol::Snapshot>(server_node(0))) found.push_back(message.clock);
  };
  scheduler.begin();
  collect();
  for (Clock clock = 0; clock < 10; ++clock) {
    scheduler.tick(0, clock);
    collect();
  }
  return found;
}

TEST(Evaluations, LieEvenlyInTheEpochsThatHaveThem) {
  using testing::ElementsAre;
  EXPECT_THAT(snapshots_of(1), ElementsAre(5, 10));
  EXPECT_THAT(snapshots_of(2), ElementsAre(2, 5, 7, 10));
  EXPECT_THAT(snapshots_of(2, 2), ElementsAre(7, 10));
}

TEST(Evaluations, AreNoMoreThanTheClocksOfAnEpoch) {
  EXPECT_THAT(snapshots_of(1000), testing::ElementsAre(1, 2, 3, 4, 5, 6, 10)) << "the ledger is full at 6";
}

}  // namespace
}  // namespace rubato::scheduler
