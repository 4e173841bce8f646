// Simulated jobs in which servers crash, and come back with what they had.
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class Crashes : public testing::TestWithParam<const char*> {
 protected:
  Crashes() : job_(quadratic_job(GetParam(), {3, 2})) {
    job_.train.epochs = 12;
    job_.optimizer.name = "adam";
    job_.optimizer.rate = 0.01;
  }
  static Fault crash(const char* server, TimeNs at, TimeNs absent) {
    return {at, Fault::Kind::kCrash, server, "", at + absent};
  }

  Job job_;
};
INSTANTIATE_TEST_SUITE_P(Modes, Crashes,
                         testing::Values("bsp", "ssp:0", "ssp:2", "dssp:1..3", "asp", "asp leased", "ssp:2 leased",
                                         "local:2+ssp:1", "local:2+asp"),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

TEST_P(Crashes, AndTheJobGoesOn) {
  for (TimeNs at = 5 * kMillisecond; at < 60 * kMillisecond; at += 3 * kMillisecond) {
    for (const TimeNs absent : {2 * kMillisecond, 60 * kMillisecond}) {
      SCOPED_TRACE(fmt::format("crashed at {} ms, back {} ms later", at / kMillisecond, absent / kMillisecond));
      SimOptions options;
      options.faults = {crash("server-1", at, absent)};
      const Ran ran = run_sim(job_, options);
      expect_success(ran);
      expect_finished(job_, ran);
      EXPECT_EQ(ran.metrics("final").at(0)["samples_dropped"], 0);
      ASSERT_THAT(ran.metrics("server_lost"), SizeIs(1));
      const auto back = ran.metrics("server_returned");
      ASSERT_THAT(back, SizeIs(1));
      EXPECT_EQ(back[0]["server"], "server-1");
      EXPECT_EQ(back[0]["life"], 2);
    }
  }
}

TEST_P(Crashes, AgainAndAllAtOnce) {
  SimOptions options;
  for (const TimeNs at : {20, 90, 160, 230})
    for (const char* server : {"server-0", "server-1"})
      options.faults.push_back(crash(server, at * kMillisecond, 30 * kMillisecond));
  const Ran ran = run_sim(job_, options);
  expect_success(ran);
  expect_finished(job_, ran);
  EXPECT_THAT(ran.metrics("server_returned"), SizeIs(8));
}

TEST_P(Crashes, OverANetworkThatLosesAndReorders) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    SimOptions options = rough_network(seed);
    options.faults = {crash("server-0", 500 * kMillisecond, 40 * kMillisecond),  // by then all have found together
                      crash("server-1", 560 * kMillisecond, 3 * kMillisecond)};
    job_.train.epochs = 50;
    const Ran ran = run_sim(job_, options);
    expect_success(ran);
    expect_finished(job_, ran);
    EXPECT_THAT(ran.metrics("server_returned"), SizeIs(2));
  }
}

TEST_P(Crashes, WhileAWorkerDiesAndComesBack) {
  for (TimeNs other = 20 * kMillisecond; other < 70 * kMillisecond; other += 3 * kMillisecond) {
    SCOPED_TRACE(fmt::format("worker-1 killed at {} ms", other / kMillisecond));
    SimOptions options;
    options.faults = {crash("server-0", 30 * kMillisecond, 20 * kMillisecond),
                      {other, Fault::Kind::kKill, "worker-1"},
                      {other + 15 * kMillisecond, Fault::Kind::kReturn, "worker-1"}};
    const Ran ran = run_sim(job_, options);
    expect_finished(job_, ran);
    EXPECT_THAT(ran.metrics("server_returned"), SizeIs(1));
  }
}

TEST_P(Crashes, WithShardsOnThreadsOfTheirOwn) {
  job_.cluster.servers = 1;
  job_.cluster.shard_threads = 2;
  SimOptions options;
  options.faults = {crash("server-0", 40 * kMillisecond, 20 * kMillisecond)};
  const Ran ran = run_sim(job_, options);
  expect_success(ran);
  expect_finished(job_, ran);
  EXPECT_THAT(ran.metrics("server_lost"), SizeIs(1));
  EXPECT_THAT(ran.metrics("server_returned"), SizeIs(2));
}

TEST_P(Crashes, WhenAllIsDoneButTheLastSnapshot) {
  const Ran whole = run_sim(job_);
  const TimeNs trained = static_cast<TimeNs>(1e9 * whole.metrics("final").at(0)["train_s"].get<double>());
  for (const TimeNs early : {-3, -1, 0, 1, 3, 8}) {
    SCOPED_TRACE(fmt::format("{} ms before the end", early));
    SimOptions options;
    options.faults = {crash("server-1", trained - early * kMillisecond, 5 * kMillisecond)};
    const Ran ran = run_sim(job_, options);
    expect_finished(job_, ran);
  }
}

TEST(CrashesThatEndTheJob, WhereAPushIsAcknowledgedBeforeItIsApplied) {
  for (const char* mode : {"softsync:2", "backup:1", "local:2"}) {
    SCOPED_TRACE(mode);
    SimOptions options;
    options.faults = {{30 * kMillisecond, Fault::Kind::kCrash, "server-1", "", 40 * kMillisecond}};
    const Ran ran = run_sim(quadratic_job(mode, {3, 2}), options);
    EXPECT_TRUE(ran.result.over);
    EXPECT_EQ(ran.result.exit_code, static_cast<int>(Cause::kPeerLost));
    EXPECT_THAT(ran.result.text, HasSubstr("server-1 was killed by signal 9: its part of the model is lost"));
    EXPECT_THAT(ran.result.text, HasSubstr("a push is acknowledged before it is in the weights"));
  }
}

TEST(CrashesThatEndTheJob, WhereTheServerDoesNotComeBack) {
  SimOptions options;
  options.timing.start_timeout = 2 * kSecond;
  options.faults = {{30 * kMillisecond, Fault::Kind::kCrash, "server-1", "", 100 * kSecond}};
  const Ran ran = run_sim(quadratic_job("ssp:2", {3, 2}), options);
  EXPECT_EQ(ran.result.exit_code, static_cast<int>(Cause::kPeerLost));
  EXPECT_THAT(ran.result.text, HasSubstr("server-1 has not come back for 2"));
}

TEST(CrashesThatEndTheJob, WhereTrainingHasNotBegun) {
  SimOptions options;
  options.faults = {{1, Fault::Kind::kCrash, "server-1", "", 40 * kMillisecond}};
  const Ran ran = run_sim(quadratic_job("ssp:2", {3, 2}), options);
  EXPECT_NE(ran.result.exit_code, 0);
  EXPECT_TRUE(ran.result.over);
}

}  // namespace
}  // namespace rubato::sim
