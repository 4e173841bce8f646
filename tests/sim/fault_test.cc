// Simulated jobs in which the network misbehaves and members die: what is promised to the others.
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kModes[] = {"bsp",
                                  "ssp:0",
                                  "ssp:2",
                                  "dssp:1..3",
                                  "asp",
                                  "backup:0",
                                  "backup:1",
                                  "softsync:1",
                                  "softsync:2",
                                  "ssp:2 leased",
                                  "asp leased",
                                  "dssp:1..3 leased",
                                  "softsync:2 leased",
                                  "local:2",
                                  "local:2+ssp:1",
                                  "local:2+asp"};
constexpr int kPeerLost = static_cast<int>(Cause::kPeerLost), kEvicted = static_cast<int>(Cause::kEvicted);

class Faults : public testing::TestWithParam<const char*> {
 protected:
  Faults() : job_(quadratic_job(GetParam(), {3, 2})) { job_.train.epochs = 4; }

  Job job_;
};
INSTANTIATE_TEST_SUITE_P(Modes, Faults, testing::ValuesIn(kModes),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

bool noted(const Ran& ran, const std::string& text) {
  return std::ranges::any_of(ran.result.notes,
                             [&](const SimNote& note) { return note.text.find(text) != std::string::npos; });
}

// ---- the network ------------------------------------------------------------------------------------

TEST_P(Faults, LossDuplicationAndReorderingChangeNothing) {
  for (const double loss : {0.0, 0.05, 0.2}) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      SCOPED_TRACE(fmt::format("loss {}, seed {}", loss, seed));
      SimOptions options;
      options.seed = seed;
      options.link.loss = loss;
      options.link.duplication = 0.1;
      options.link.reordering = 0.2;
      options.link.held_up = transport::Delay::exponential(0, 5 * kMillisecond);
      options.timing.lost_after = 2 * kSecond;
      const Ran ran = run_sim(job_, options);
      expect_success(ran);
      expect_finished(job_, ran);
    }
  }
}

TEST_P(Faults, SlowNetworkWithALongTail) {
  SimOptions options;
  options.link.delay = transport::Delay::lognormal(2 * kMillisecond, 1.2);
  job_.simulation.step_ms = 1;
  job_.worker.stragglers = "lognormal:1";
  const Ran ran = run_sim(job_, options);
  expect_success(ran);
  expect_finished(job_, ran);
}

// A step's pushes take five times as long over the line as a request waits for its answer; none of them is lost.
TEST_P(Faults, PushesThatQueueForASlowLineAreNotSentAgain) {
  job_.model.size = 960;
  SimOptions options;
  for (const char* worker : {"worker-0", "worker-1", "worker-2"})
    for (const char* server : {"server-0", "server-1"}) {
      options.links.push_back({worker, server, {}});
      options.links.back().model.bytes_per_s = 30 * 200.0 / (5 * 0.020);  // 30 slices, a body and a header each
    }
  options.timing.evict_after = 60 * kSecond;
  const Ran ran = run_sim(job_, options);
  expect_success(ran);
  expect_finished(job_, ran);
  std::uint64_t pushes = 0, repeated = 0;
  for (const auto& shard : ran.result.shards) pushes += shard.pushes, repeated += shard.repeated;
  EXPECT_GT(pushes, 0u);
  EXPECT_EQ(repeated, 0u);
}

TEST_P(Faults, ACutThatHealsIsWaitedOut) {
  for (const char* other : {"scheduler", "server-1"}) {
    for (const TimeNs at : {15 * kMillisecond, 42 * kMillisecond}) {
      SCOPED_TRACE(fmt::format("from {} at {} ms", other, at / kMillisecond));
      SimOptions options;
      options.faults = {{at, Fault::Kind::kCut, "worker-1", other, at + 300 * kMillisecond}};
      const Ran ran = run_sim(job_, options);
      expect_success(ran);
      expect_finished(job_, ran);
    }
  }
}

// ---- deaths -----------------------------------------------------------------------------------------

TEST_P(Faults, KilledWorkerIsNamedAndTheOthersGoOn) {
  for (const bool launcher : {true, false}) {
    for (TimeNs at = 10 * kMillisecond; at < 130 * kMillisecond; at += 7 * kMillisecond) {
      SCOPED_TRACE(fmt::format("{} launcher, at {} ms", launcher ? "with" : "without", at / kMillisecond));
      SimOptions options;
      options.launcher = launcher;
      options.faults = {{at, Fault::Kind::kKill, "worker-1"}};
      const Ran ran = run_sim(job_, options);
      expect_finished(job_, ran);
      const auto lost = ran.metrics("worker_lost");
      if (!lost.empty()) {
        EXPECT_EQ(lost[0]["worker"], "worker-1");
        EXPECT_TRUE(noted(ran, "worker-1 "));
      }
      EXPECT_EQ(ran.exits_with(0), ran.result.ends.size());
    }
  }
}

TEST_P(Faults, TwoWorkersMayDie) {
  for (TimeNs second = 12 * kMillisecond; second < 80 * kMillisecond; second += 5 * kMillisecond) {
    SCOPED_TRACE(fmt::format("the second at {} ms", second / kMillisecond));
    SimOptions options;
    options.faults = {{22 * kMillisecond, Fault::Kind::kKill, "worker-0"}, {second, Fault::Kind::kKill, "worker-2"}};
    expect_finished(job_, run_sim(job_, options));
  }
}

TEST_P(Faults, ASurvivorMayBeCutOffJustThen) {
  for (TimeNs at = 10 * kMillisecond; at < 60 * kMillisecond; at += 3 * kMillisecond) {
    SCOPED_TRACE(fmt::format("at {} ms", at / kMillisecond));
    SimOptions options;
    options.faults = {{at, Fault::Kind::kKill, "worker-1"},
                      {at, Fault::Kind::kCut, "worker-0", "scheduler", at + 100 * kMillisecond}};
    expect_finished(job_, run_sim(job_, options));
  }
}

TEST_P(Faults, WithoutWorkersTheJobEnds) {
  SimOptions options;
  for (const char* worker : {"worker-0", "worker-1", "worker-2"})
    options.faults.push_back({25 * kMillisecond, Fault::Kind::kKill, worker});
  const Ran ran = run_sim(job_, options);
  EXPECT_TRUE(ran.result.over) << ran.result.unfinished;
  EXPECT_EQ(ran.result.exit_code, kPeerLost);
  EXPECT_THAT(ran.result.text, HasSubstr("no worker is left"));
  EXPECT_EQ(ran.exits_with(kPeerLost), ran.result.ends.size());
}

TEST_P(Faults, KilledServerEndsTheJobForAll) {
  for (const bool launcher : {true, false}) {
    SimOptions options;
    options.launcher = launcher;
    options.faults = {{25 * kMillisecond, Fault::Kind::kKill, "server-1"}};
    const Ran ran = run_sim(job_, options);
    EXPECT_TRUE(ran.result.over) << ran.result.unfinished;
    EXPECT_THAT(ran.result.ends, SizeIs(6));  // all but the dead
    for (const auto& [node, end] : ran.result.ends) {
      EXPECT_EQ(end.exit_code, kPeerLost) << node.name();
      EXPECT_THAT(end.text, HasSubstr("server-1")) << node.name();
      EXPECT_LT(end.at, (launcher ? 1 : 2) * kSecond) << node.name();
    }
  }
}

TEST_P(Faults, KilledSchedulerEndsTheJobForAll) {
  SimOptions options;
  options.faults = {{25 * kMillisecond, Fault::Kind::kKill, "scheduler"}};
  const Ran ran = run_sim(job_, options);
  EXPECT_TRUE(ran.result.over);
  EXPECT_THAT(ran.result.ends, SizeIs(6));
  for (const auto& [node, end] : ran.result.ends) {
    EXPECT_EQ(end.exit_code, kPeerLost) << node.name();
    EXPECT_THAT(end.text, HasSubstr("the scheduler has not answered")) << node.name();
    EXPECT_LT(end.at, kSecond) << node.name();
  }
}

TEST_P(Faults, KilledEvaluatorIsStartedAgain) {
  job_.train.epochs = 6;
  for (TimeNs at = 10 * kMillisecond; at < 200 * kMillisecond; at += 19 * kMillisecond) {
    SCOPED_TRACE(fmt::format("at {} ms", at / kMillisecond));
    SimOptions options;
    options.faults = {{at, Fault::Kind::kKill, "evaluator-0"}};
    job_.simulation.evaluation_ms = 20;
    const Ran ran = run_sim(job_, options);
    expect_success(ran);
    expect_finished(job_, ran);
    EXPECT_THAT(ran.metrics("evaluation"), SizeIs(5));
  }
}

TEST_P(Faults, WithoutAnEvaluatorTheEndIsNotWaitedForForEver) {
  SimOptions options;
  options.launcher = false;  // nobody starts it again
  options.faults = {{25 * kMillisecond, Fault::Kind::kKill, "evaluator-0"}};
  const Ran ran = run_sim(job_, options);
  EXPECT_TRUE(ran.result.over) << ran.result.unfinished;
  EXPECT_EQ(ran.result.exit_code, kPeerLost);
  EXPECT_THAT(ran.result.text, HasSubstr("evaluator-0"));
}

// ---- the stopped ------------------------------------------------------------------------------------

TEST_P(Faults, StoppedWorkerIsNamedAndEvictedAndTheOthersGoOn) {
  for (const bool comes_back : {false, true}) {
    SCOPED_TRACE(comes_back ? "and comes back" : "for good");
    job_.train.epochs = comes_back ? 300 : 4;  // long enough to see it come back
    SimOptions options;
    options.faults = {
        {25 * kMillisecond, Fault::Kind::kPause, "worker-1", "", comes_back ? 1500 * kMillisecond : kNever}};
    const Ran ran = run_sim(job_, options);
    expect_finished(job_, ran);
    ASSERT_THAT(ran.metrics("worker_lost"), SizeIs(1));
    EXPECT_EQ(ran.metrics("worker_lost")[0]["worker"], "worker-1");
    EXPECT_LT(ran.metrics("worker_lost")[0]["time_s"].get<double>(), 0.7);
    const auto end = ran.result.ends.find(worker_node(1));
    ASSERT_EQ(end != ran.result.ends.end(), comes_back);
    if (comes_back) {
      EXPECT_EQ(end->second.exit_code, kEvicted) << end->second.text;
    }
    EXPECT_EQ(ran.exits_with(0), 6u);
  }
}

TEST_P(Faults, AShortStopIsForgiven) {
  SimOptions options;
  options.faults = {{25 * kMillisecond, Fault::Kind::kPause, "worker-1", "", 325 * kMillisecond}};
  const Ran ran = run_sim(job_, options);
  expect_success(ran);
  expect_finished(job_, ran);
}

TEST_P(Faults, WorkerThatComputesForEverIsNamedAndEvicted) {
  job_.worker.stragglers = "persistent:1000000x";  // hours
  const Ran ran = run_sim(job_);
  expect_finished(job_, ran);
  EXPECT_TRUE(noted(ran, "worker-0 has not got on with step 0"));
  ASSERT_THAT(ran.metrics("worker_lost"), SizeIs(1));
  EXPECT_EQ(ran.result.ends.at(worker_node(0)).exit_code, kEvicted);
}

// ---- gradients that are not finite ------------------------------------------------------------------

TEST_P(Faults, NonFiniteGradientIsDroppedAndCounted) {
  job_.debug.nonfinite_at = 2;
  const Ran ran = run_sim(job_);
  expect_success(ran);
  ASSERT_THAT(ran.metrics("final"), SizeIs(1));
  EXPECT_EQ(ran.metrics("final")[0]["nonfinite"], 1);
  EXPECT_EQ(ran.metrics("final")[0]["first_nonfinite"]["worker"], "worker-0");
  EXPECT_EQ(ran.metrics("final")[0]["first_nonfinite"]["parameter"], ran.metrics("nonfinite").at(0)["parameter"]);
  EXPECT_EQ(ran.metrics("nonfinite").at(0)["worker"], "worker-0");
  EXPECT_LT(distance(ran.result.final_weights, optimum(QuadraticWorkload(job_))), 2.0f);
  expect_promises_kept(job_, ran);
}

TEST_P(Faults, NonFiniteGradientStopsTheJobThatSaysSo) {
  job_.debug.nonfinite_at = 2;
  job_.consistency.nonfinite = "stop";
  const Ran ran = run_sim(job_);
  EXPECT_TRUE(ran.result.over);
  EXPECT_EQ(ran.result.exit_code, static_cast<int>(Cause::kDiverged));
  EXPECT_THAT(ran.result.text, HasSubstr("worker-0 computed at clock 2"));
  for (const auto& [node, end] : ran.result.ends) EXPECT_EQ(end.exit_code, ran.result.exit_code) << node.name();
}

// Over a network that loses every third message: whatever a shard counted, the scheduler hears of, once, and before the
// job ends.
TEST_P(Faults, WordOfAGradientThatIsNotFiniteIsNotLost) {
  job_.train.epochs = 2;
  job_.debug.nonfinite_at = 2;
  for (const char* policy : {"skip", "stop"}) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      SCOPED_TRACE(fmt::format("{}, seed {}", policy, seed));
      job_.consistency.nonfinite = policy;
      SimOptions options;
      options.seed = seed;
      options.link.loss = 0.3;
      options.link.duplication = 0.1;
      options.link.reordering = 0.2;
      options.timing.lost_after = 10 * kSecond;
      const Ran ran = run_sim(job_, options);
      std::uint64_t counted = 0;  // in backup none, where it came too late
      for (const auto& shard : ran.result.shards) counted += shard.nonfinite;
      const bool stops = counted > 0 && job_.consistency.nonfinite == "stop";
      EXPECT_EQ(ran.result.exit_code, stops ? static_cast<int>(Cause::kDiverged) : 0) << ran.result.text;
      EXPECT_THAT(ran.metrics("nonfinite"), SizeIs(counted));
    }
  }
}

// ---- coming together --------------------------------------------------------------------------------

TEST_P(Faults, WhoDoesNotComeIsNamed) {
  SimOptions options;
  options.launcher = false;
  options.faults = {{0, Fault::Kind::kKill, "worker-2"}};
  const Ran ran = run_sim(job_, options);
  EXPECT_TRUE(ran.result.over);
  EXPECT_EQ(ran.result.exit_code, kPeerLost);
  EXPECT_THAT(ran.result.text, HasSubstr("have not come: worker-2"));
  EXPECT_EQ(ran.exits_with(kPeerLost), 6u);
}

TEST_P(Faults, WithEnoughWorkersTheJobStartsWithoutTheLate) {
  job_.cluster.min_workers = 2;
  SimOptions options;
  options.launcher = false;
  options.faults = {{0, Fault::Kind::kKill, "worker-2"}};
  const Ran ran = run_sim(job_, options);
  expect_success(ran);
  expect_finished(job_, ran);
}

}  // namespace
}  // namespace rubato::sim
