// Updates that the scheduler commits, by hand: when, of which steps, and what becomes of the late and the dead.
#include "tests/scheduler/scheduler_harness.h"

namespace rubato::scheduler {
namespace {

using protocol::Commit;
using protocol::Contributor;
using protocol::WaitKind;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

using Granted = std::pair<std::uint32_t, Clock>;

class Committing : public Scheduler {
 public:
  explicit Committing(const std::string& mode, std::int64_t workers = 3) : Scheduler(with_samples(mode, workers)) {
    begin();
  }

  // 100 samples in batches of 10: with three workers 34, 33 and 33 each, and four clocks an epoch.
  static Job with_samples(const std::string& mode, std::int64_t workers) {
    Job job = job_of(mode, workers);
    job.train.steps = 12;
    return job;
  }
  void tick_on(std::uint32_t worker, Clock clock, Version version) {
    protocol::Tick message;
    message.clock = clock;
    message.samples = 10;
    message.versions = {{version, 2}};
    receive(worker_node(worker), message);
  }
  [[nodiscard]] std::vector<Commit> commits() const { return sent<Commit>(server_node(0)); }
  void applied(std::uint64_t number) { receive(server_node(0), protocol::Committed{number}); }
  [[nodiscard]] nlohmann::ordered_json status() const { return core.status(now); }
};

// ---- backup -----------------------------------------------------------------------------------------

TEST(Backup, TheFirstTicksOfAClockMakeItsUpdate) {
  Committing job("backup:1");
  job.tick(2, 0);
  EXPECT_THAT(job.commits(), IsEmpty());
  EXPECT_THAT(job.granted(), IsEmpty());
  job.tick(0, 0);
  ASSERT_THAT(job.commits(), SizeIs(1));
  const Commit commit = job.commits()[0];
  EXPECT_EQ(commit.number, 1u);
  EXPECT_EQ(commit.floor, 1);
  EXPECT_THAT(commit.contributors, ElementsAre(Contributor{0, 0}, Contributor{2, 0}));
  EXPECT_THAT(job.granted(), UnorderedElementsAre(Granted{0, 1}, Granted{2, 1}));
}

TEST(Backup, WhoIsLateGoesOnWithTheClockThatIsOpen) {
  Committing job("backup:1");
  for (Clock clock = 0; clock < 2; ++clock)
    for (std::uint32_t worker : {0u, 2u}) job.tick(worker, clock);
  job.beat(worker_node(1));
  EXPECT_EQ(job.sent<protocol::Beat>(worker_node(1)).at(0).clock, 0) << "its tick of step 0 has not come";
  job.tick(1, 0);
  EXPECT_THAT(job.granted(), ElementsAre(Granted{1, 2}));
  EXPECT_THAT(job.commits(), IsEmpty());
  EXPECT_EQ(job.sent<protocol::Grant>(worker_node(1)).at(0).clock, 2);
  job.tick(1, 0);
  EXPECT_THAT(job.granted(), IsEmpty()) << "said again";
  job.tick(1, 2);
  job.tick(0, 2);
  ASSERT_THAT(job.commits(), SizeIs(1));
  EXPECT_THAT(job.commits()[0].contributors, ElementsAre(Contributor{0, 2}, Contributor{1, 2}));
  EXPECT_EQ(job.status()["samples_done"], 60) << "20 samples were in time in each of three clocks";
}

TEST(Backup, ADeathMayCompleteAClock) {
  Committing job("backup:1", 4);
  job.tick(0, 0);
  job.tick(1, 0);
  EXPECT_THAT(job.commits(), IsEmpty());
  job.out.clear();
  job.core.member_exited(job.now, {worker_node(3), -9}, job.out);
  ASSERT_THAT(job.commits(), SizeIs(1));
  EXPECT_THAT(job.commits()[0].contributors, ElementsAre(Contributor{0, 0}, Contributor{1, 0}));
}

TEST(Backup, WhatADeadWorkerHadAcceptedIsInNoUpdate) {
  Committing job("backup:1");
  job.tick(1, 0);
  job.core.member_exited(job.now, {worker_node(1), -9}, job.out);
  EXPECT_THAT(job.commits(), IsEmpty());
  job.tick(2, 0);
  ASSERT_THAT(job.commits(), SizeIs(1));
  EXPECT_THAT(job.commits()[0].contributors, ElementsAre(Contributor{2, 0})) << "one of two is enough now";
}

TEST(Backup, SaysWhoIsMissing) {
  Committing job("backup:1");
  job.tick(0, 0);
  job.beat(worker_node(0), {WaitKind::kGrant, 1, 0, 0});
  EXPECT_THAT(job.status()["workers"][0]["waiting_for"]["of"], ElementsAre("worker-1", "worker-2"));
  job.tick(1, 0);
  job.beat(worker_node(0), {WaitKind::kWeights, 1, 0, 0});
  EXPECT_THAT(job.status()["workers"][0]["waiting_for"]["of"], ElementsAre("server-0")) << "not yet applied";
}

TEST(Backup, ADrainCommitsWhatThereIs) {
  Committing job("backup:0");
  job.tick(0, 0);
  job.core.drain(job.now, job.out);
  job.core.member_exited(job.now, {worker_node(1), -9}, job.out);
  job.out.clear();
  job.core.member_exited(job.now, {worker_node(2), -9}, job.out);
  ASSERT_THAT(job.commits(), SizeIs(1));
  EXPECT_THAT(job.commits()[0].contributors, ElementsAre(Contributor{0, 0}));
}

// ---- softsync ---------------------------------------------------------------------------------------

TEST(Softsync, AnyStepsMakeAnUpdateAndNobodyWaits) {
  Committing job("softsync:1");
  job.tick(0, 0);
  EXPECT_THAT(job.granted(), ElementsAre(Granted{0, 2}));
  job.tick(0, 1);
  EXPECT_THAT(job.commits(), IsEmpty());
  job.tick(2, 0);
  ASSERT_THAT(job.commits(), SizeIs(1));
  EXPECT_THAT(job.commits()[0].contributors, ElementsAre(Contributor{0, 0}, Contributor{0, 1}, Contributor{2, 0}));
  EXPECT_EQ(job.commits()[0].floor, 0) << "nothing of worker-1 is in it";
}

TEST(Softsync, AgesAreCommitsBetween) {
  Committing job("softsync:3");
  job.tick_on(0, 0, 0);
  job.tick_on(1, 0, 0);
  job.tick_on(2, 0, 0);
  job.tick_on(0, 1, 2);
  const auto workers = job.status()["workers"];
  EXPECT_EQ(workers[0]["age_mean"], 0.5);
  EXPECT_EQ(workers[1]["age_mean"], 1.0);
  EXPECT_EQ(workers[2]["age_mean"], 2.0);
}

TEST(Softsync, WhileShardsHaveTooMuchToApplyNobodyIsGrantedAStep) {
  Committing job("softsync:1", 1);
  Clock clock = 0;
  for (; clock < static_cast<Clock>(Commit::kAheadMax); ++clock) job.tick(0, clock);
  EXPECT_THAT(job.granted(), IsEmpty());
  job.tick(0, clock);  // the one that was granted ahead
  EXPECT_THAT(job.granted(), IsEmpty());
  job.beat(worker_node(0), {WaitKind::kGrant, clock + 1, 0, 0});
  EXPECT_THAT(job.status()["workers"][0]["waiting_for"]["of"], ElementsAre("server-0"));
  job.applied(2);
  EXPECT_FALSE(job.granted().empty());
}

TEST(Softsync, ACommitIsSaidAgainUntilItIsApplied) {
  Committing job("softsync:1", 1);
  job.tick(0, 0);
  job.beat(server_node(0));
  job.beat(worker_node(0));
  job.beat(evaluator_node(0));
  const TimeNs later = job.now + job.timing.resend_after - 1;
  for (const NodeId node : {server_node(0), worker_node(0), evaluator_node(0)}) {
    job.now = later;
    job.beat(node);
  }
  job.wake_at(later + 2);
  EXPECT_THAT(job.commits(), SizeIs(1));
  job.applied(1);
  job.wake_at(later + job.timing.heartbeat + 4);
  EXPECT_THAT(job.commits(), IsEmpty());
}

TEST(Softsync, TheFinalSnapshotIsReadWhenEveryCommitIsApplied) {
  Job file = Committing::with_samples("softsync:1", 2);
  file.train.steps = 1;
  Scheduler job(file);
  job.begin();
  job.tick(0, 0);
  job.tick(1, 0);
  ASSERT_EQ(job.core.phase(), Phase::kFinishing);
  protocol::SnapshotTaken taken;
  taken.id = 1;
  job.receive(server_node(0), taken);
  EXPECT_THAT(job.sent<protocol::Evaluate>(evaluator_node(0)), IsEmpty());
  job.receive(server_node(0), protocol::Committed{1});
  EXPECT_THAT(job.sent<protocol::Evaluate>(evaluator_node(0)), SizeIs(1));
}

}  // namespace
}  // namespace rubato::scheduler
