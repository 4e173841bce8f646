// Other rules in a running job, by hand: from which clock on, what is said of it, and when it is refused.
#include "tests/scheduler/scheduler_harness.h"

namespace rubato::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using Granted = std::pair<std::uint32_t, Clock>;
using Json = nlohmann::ordered_json;

class Changing : public testing::Test {
 protected:
  void begin(const std::string& mode, std::int64_t workers = 2) {
    Job job = job_of(mode, workers);
    job.optimizer.rate = 0.1;
    scheduler_.emplace(job);
    scheduler_->begin();
    metrics_of("");
  }
  Result<Json> set(const std::string& words, bool dry_run = false) {
    scheduler_->out.clear();
    return scheduler_->core.change_rules(scheduler_->now, parse_rule_change(words).value(), dry_run, scheduler_->out);
  }
  // Lines of metrics.jsonl since the last call.
  std::vector<Json> metrics_of(const std::string& event) {
    std::vector<Json> found;
    for (Json& line : scheduler_->core.take_metrics())
      if (line["event"] == event) found.push_back(std::move(line));
    return found;
  }
  [[nodiscard]] Json status() { return scheduler_->core.status(scheduler_->now); }
  void ticks(std::uint32_t worker, Clock from, Clock to) {
    for (Clock clock = from; clock < to; ++clock) scheduler_->tick(worker, clock);
  }

  std::optional<Scheduler> scheduler_;
};

TEST_F(Changing, TakesEffectAboveTheHighestStepGranted) {
  begin("asp");
  ticks(0, 0, 5);  // worker-0 holds 5 and 6, worker-1 holds 0 and 1
  const auto answer = set("mode=ssp:2");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(*answer,
            Json({{"rule_epoch", 2}, {"mode", "ssp:2"}, {"rate", 0.1}, {"clock", 7}, {"to_go", 7}, {"changed", true}}));

  ticks(0, 5, 7);
  EXPECT_THAT(scheduler_->granted(), IsEmpty()) << "worker-0 waits at clock 7";
  for (Clock clock = 0; clock < 4; ++clock) {
    scheduler_->tick(1, clock);
    EXPECT_THAT(scheduler_->granted(), ElementsAre(Granted{1, clock + 2})) << "on to 7 under the old rules";
  }
  EXPECT_THAT(metrics_of("in_force"), IsEmpty());
  scheduler_->tick(1, 4);  // the least clock is 5
  EXPECT_THAT(scheduler_->granted(), UnorderedElementsAre(Granted{0, 7}, Granted{1, 6}));
  const protocol::StepGrant step = scheduler_->sent<protocol::Grant>(worker_node(0)).at(0).steps.at(0);
  EXPECT_EQ(step.rule_epoch, 2u);
  EXPECT_EQ(step.bound, 2);
  EXPECT_EQ(step.floor(), 5);
  const protocol::StepGrant old = scheduler_->sent<protocol::Grant>(worker_node(1)).at(0).steps.back();
  EXPECT_EQ(old.clock, 6);
  EXPECT_EQ(old.rule_epoch, 1u);
  EXPECT_EQ(old.bound, Mode::kUnbounded);
  ticks(1, 5, 7);
  EXPECT_EQ(metrics_of("in_force").size(), 1u);
}

TEST_F(Changing, IsShownWhileWorkersAlign) {
  begin("asp");
  ticks(0, 0, 5);
  scheduler_->now += kSecond;
  ASSERT_TRUE(set("mode=ssp:2 rate=0.05").ok());
  const auto set_lines = metrics_of("set");
  ASSERT_EQ(set_lines.size(), 1u);
  EXPECT_EQ(set_lines[0], Json({{"event", "set"},
                                {"time_s", 1.0},
                                {"rule_epoch", 2},
                                {"mode", "ssp:2"},
                                {"rate", 0.05},
                                {"clock", 7},
                                {"to_go", 7},
                                {"replaces", nullptr}}));
  ticks(1, 0, 3);
  EXPECT_EQ(status()["mode"], "asp");
  EXPECT_EQ(status()["bound"], nullptr);
  EXPECT_EQ(status()["rate"], 0.1);
  EXPECT_EQ(status()["changing"],
            Json::array({{{"rule_epoch", 2}, {"mode", "ssp:2"}, {"rate", 0.05}, {"clock", 7}, {"to_go", 4}}}));
  EXPECT_EQ(status()["workers"][0]["to_go"], 2);
  EXPECT_EQ(status()["workers"][1]["to_go"], 4);
  const auto progress = metrics_of("progress");
  ASSERT_FALSE(progress.empty());
  EXPECT_EQ(progress.back()["to_go"], 4);

  scheduler_->now += 2 * kSecond;
  ticks(0, 5, 7);
  ticks(1, 3, 7);
  const auto in_force = metrics_of("in_force");
  ASSERT_EQ(in_force.size(), 1u);
  EXPECT_EQ(in_force[0]["rule_epoch"], 2);
  EXPECT_EQ(in_force[0]["clock"], 7);
  EXPECT_EQ(in_force[0]["since_set_s"], 2.0);
  EXPECT_EQ(status()["mode"], "ssp:2");
  EXPECT_EQ(status()["bound"], 2);
  EXPECT_EQ(status()["rule_epoch"], 2);
  EXPECT_EQ(status()["changing"], Json::array());
  EXPECT_EQ(status()["workers"][1]["to_go"], nullptr);
}

TEST_F(Changing, ALooserBoundLetsWaitingWorkersGoOnAtOnce) {
  begin("ssp:1");
  ticks(0, 0, 2);
  EXPECT_THAT(scheduler_->granted(), IsEmpty()) << "worker-0 waits for worker-1";
  const auto answer = set("mode=ssp:3");
  EXPECT_EQ((*answer)["clock"], 2);
  EXPECT_THAT(scheduler_->granted(), ElementsAre(Granted{0, 2}, Granted{0, 3}));
}

TEST_F(Changing, AnotherRateReplacesTheBase) {
  begin("bsp");
  EXPECT_EQ((*set("rate=0.02"))["clock"], 1);
  for (std::uint32_t worker : {0u, 1u}) scheduler_->tick(worker, 0);
  EXPECT_EQ(scheduler_->sent<protocol::Grant>(worker_node(0)).at(0).steps.at(0).rate, 0.02);
  EXPECT_EQ(status()["rate"], 0.02);
}

// The old rate is that of all steps below the clock of the change, whoever takes them and however late.
TEST_F(Changing, ALaggardKeepsTheOldRateUpToTheClockOfTheChange) {
  begin("asp");
  ticks(0, 0, 5);  // worker-0 holds 5 and 6, worker-1 holds 0 and 1
  EXPECT_EQ((*set("rate=0.02"))["clock"], 7);
  const auto newest = [&](std::uint32_t worker) {
    return scheduler_->sent<protocol::Grant>(worker_node(worker)).at(0).steps.back();
  };
  for (Clock clock = 2; clock < 9; ++clock) {
    scheduler_->tick(1, clock - 2);
    const protocol::StepGrant step = newest(1);
    ASSERT_EQ(step.clock, clock);
    EXPECT_EQ(step.rate, clock < 7 ? 0.1 : 0.02) << "of step " << clock;
    EXPECT_EQ(step.rule_epoch, clock < 7 ? 1u : 2u);
  }
  scheduler_->tick(0, 5);
  EXPECT_EQ(newest(0).clock, 7);
  EXPECT_EQ(newest(0).rate, 0.02);
}

// In lockstep the first grants wait until the shards know of the first snapshot.
TEST_F(Changing, BeforeTheFirstGrantItIsInForceAtOnce) {
  Job job = job_of("bsp");
  job.evaluation.enabled = true;
  job.train.steps = 0;
  job.train.batch = 100;
  scheduler_.emplace(job);
  scheduler_->begin();
  EXPECT_THAT(scheduler_->granted(), IsEmpty());
  EXPECT_EQ((*set("rate=0.02"))["clock"], 0);
  EXPECT_EQ(metrics_of("in_force").size(), 1u);
  EXPECT_EQ(status()["rule_epoch"], 2);
  EXPECT_EQ(status()["rate"], 0.02);
}

TEST_F(Changing, OneThatNobodyHasComeToIsReplaced) {
  begin("asp");
  ticks(0, 0, 5);
  ASSERT_TRUE(set("mode=ssp:0").ok());
  ticks(0, 5, 7);
  const auto undone = set("mode=asp");
  EXPECT_EQ((*undone)["clock"], 7);
  EXPECT_THAT(scheduler_->granted(), ElementsAre(Granted{0, 7}, Granted{0, 8}));
  const auto lines = metrics_of("set");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1]["replaces"], 2);
  // Behind steps that were granted meanwhile: both hold, one after the other.
  EXPECT_EQ((*set("mode=ssp:4"))["clock"], 9);
  EXPECT_EQ(status()["changing"].size(), 2u);
  ticks(1, 0, 7);
  const auto in_force = metrics_of("in_force");
  ASSERT_EQ(in_force.size(), 1u);
  EXPECT_EQ(in_force[0]["rule_epoch"], 3);
}

TEST_F(Changing, TheDeathOfTheSlowestEndsAligning) {
  begin("asp", 3);
  ticks(0, 0, 5);
  ticks(1, 0, 7);
  ASSERT_TRUE(set("mode=ssp:1").ok());  // from clock 9 on
  ticks(0, 5, 9);
  ticks(1, 7, 9);
  EXPECT_THAT(metrics_of("in_force"), IsEmpty());
  scheduler_->out.clear();
  scheduler_->core.member_exited(scheduler_->now, {worker_node(2), -9}, scheduler_->out);
  EXPECT_EQ(metrics_of("in_force").size(), 1u);
  EXPECT_THAT(scheduler_->granted(),
              UnorderedElementsAre(Granted{0, 9}, Granted{0, 10}, Granted{1, 9}, Granted{1, 10}));
}

// The clock is where it was announced: the new rules are nobody's before it.
TEST_F(Changing, TheDeathOfTheFastestChangesNothing) {
  begin("asp");
  ticks(0, 0, 5);
  ASSERT_TRUE(set("mode=ssp:1").ok());
  scheduler_->core.member_exited(scheduler_->now, {worker_node(0), -9}, scheduler_->out);
  EXPECT_EQ((*set("mode=ssp:3"))["clock"], 7);
  EXPECT_EQ(status()["changing"].size(), 1u);
}

TEST_F(Changing, ADryRunChangesNothing) {
  begin("asp");
  ticks(0, 0, 5);
  EXPECT_EQ((*set("mode=ssp:2", true))["clock"], 7);
  EXPECT_THAT(metrics_of("set"), IsEmpty());
  EXPECT_EQ(status()["changing"], Json::array());
  ticks(0, 5, 8);
  EXPECT_EQ((*set("mode=ssp:2"))["clock"], 10);
}

TEST_F(Changing, WhatIsSetAlreadyIsNoChange) {
  begin("asp");
  EXPECT_EQ((*set("mode=asp rate=0.1"))["changed"], false);
  ASSERT_TRUE(set("mode=ssp:2").ok());
  const auto again = set("mode=ssp:2");
  EXPECT_EQ((*again)["changed"], false);
  EXPECT_EQ((*again)["rule_epoch"], 2);
  EXPECT_EQ(metrics_of("set").size(), 1u);
}

TEST_F(Changing, IsRefusedWithAReason) {
  const auto refusal = [&](const std::string& words) {
    const auto answer = set(words);
    if (answer.ok()) return std::string("(no error)");
    EXPECT_EQ(answer.error().cause, Cause::kRefused);
    return answer.error().message;
  };
  scheduler_.emplace(job_of("asp"));
  EXPECT_THAT(refusal("rate=1"), HasSubstr("training has not begun"));
  begin("asp");
  EXPECT_THAT(refusal("mode=bsp"), HasSubstr("cannot go on in bsp"));
  for (Clock clock = 0; clock <= 2 * static_cast<Clock>(RuleBook::kPendingMax); ++clock) {
    scheduler_->tick(0, clock);
    if (clock % 2 == 1) {
      EXPECT_EQ(refusal(fmt::format("rate={}", clock)), "(no error)");
    }
  }
  EXPECT_THAT(refusal("rate=100"), HasSubstr("8 changes before this one are not in force yet"));
  Job leased = job_of("asp");
  leased.data.shards = "leased";
  leased.train.steps = 0;
  scheduler_.emplace(leased);
  scheduler_->begin();
  ticks(0, 0, 8);  // of ten leases, worker-1 holds two
  EXPECT_THAT(refusal("rate=1"), HasSubstr("all samples are dealt out"));
  begin("asp");
  ticks(0, 0, 99);
  EXPECT_THAT(refusal("rate=1"), HasSubstr("was granted the job's last step, 99"));
  scheduler_->core.drain(scheduler_->now, scheduler_->out);
  EXPECT_THAT(refusal("rate=1"), HasSubstr("the job is ending"));
  scheduler_->core.abort(scheduler_->now, Cause::kInterrupted, "enough", scheduler_->out);
  EXPECT_THAT(refusal("rate=1"), HasSubstr("the job is over"));
}

}  // namespace
}  // namespace rubato::scheduler
