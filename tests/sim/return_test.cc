// Simulated jobs in which workers die and come back.
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class Returns : public testing::TestWithParam<const char*> {
 protected:
  Returns() : job_(quadratic_job(GetParam(), {3, 2})) { job_.train.epochs = 12; }

  // Of all lives.
  static std::int64_t steps_of(const Ran& ran, std::size_t worker) {
    return ran.metrics("final").at(0)["workers"][worker]["steps"];
  }

  Job job_;
};
INSTANTIATE_TEST_SUITE_P(Modes, Returns,
                         testing::Values("bsp", "ssp:0", "ssp:2", "dssp:1..3", "asp", "backup:0", "backup:1",
                                         "softsync:1", "softsync:2", "asp leased", "ssp:2 leased", "dssp:1..3 leased",
                                         "softsync:2 leased"),
                         [](const auto& parameter) { return "Mode" + std::to_string(parameter.index); });

TEST_P(Returns, AndTakesStepsAgain) {
  for (TimeNs at = 10 * kMillisecond; at < 60 * kMillisecond; at += 7 * kMillisecond) {
    for (const TimeNs absent : {2 * kMillisecond, 25 * kMillisecond}) {
      SCOPED_TRACE(fmt::format("killed at {} ms, back {} ms later", at / kMillisecond, absent / kMillisecond));
      SimOptions options;
      options.faults = {{at, Fault::Kind::kKill, "worker-1"}, {at + absent, Fault::Kind::kReturn, "worker-1"}};
      const Ran ran = run_sim(job_, options);
      expect_finished(job_, ran);
      EXPECT_EQ(ran.exits_with(0), 7u);
      const auto back = ran.metrics("worker_returned");
      ASSERT_THAT(back, SizeIs(1));
      EXPECT_EQ(back[0]["worker"], "worker-1");
      EXPECT_EQ(back[0]["life"], 2);
      options.faults.pop_back();
      EXPECT_GT(steps_of(ran, 1), steps_of(run_sim(job_, options), 1));
    }
  }
}

TEST_P(Returns, OverANetworkThatLosesAndReorders) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    SimOptions options = rough_network(seed);
    options.faults = {{500 * kMillisecond, Fault::Kind::kKill, "worker-2"},  // by then all have found together
                      {520 * kMillisecond, Fault::Kind::kReturn, "worker-2"}};
    job_.train.epochs = 50;
    const Ran ran = run_sim(job_, options);
    expect_finished(job_, ran);
    EXPECT_THAT(ran.metrics("worker_returned"), SizeIs(1));
  }
}

TEST_P(Returns, AsOftenAsTheJobSays) {
  job_.cluster.restarts = 2;
  job_.train.epochs = 40;
  SimOptions options;
  for (const TimeNs at : {20, 160, 300}) options.faults.push_back({at * kMillisecond, Fault::Kind::kKill, "worker-0"});
  const Ran ran = run_sim(job_, options);
  expect_finished(job_, ran);
  EXPECT_THAT(ran.metrics("worker_lost"), SizeIs(3));
  const auto back = ran.metrics("worker_returned");
  ASSERT_THAT(back, SizeIs(2));
  EXPECT_EQ(back[1]["life"], 3);
  EXPECT_GT(back[1]["clock"].get<Clock>(), back[0]["clock"].get<Clock>());
}

TEST_P(Returns, WhileAnotherDies) {
  for (TimeNs other = 30 * kMillisecond; other < 60 * kMillisecond; other += 2 * kMillisecond) {
    SCOPED_TRACE(fmt::format("another at {} ms", other / kMillisecond));
    SimOptions options;
    options.faults = {{25 * kMillisecond, Fault::Kind::kKill, "worker-1"},
                      {40 * kMillisecond, Fault::Kind::kReturn, "worker-1"},
                      {other, Fault::Kind::kKill, "worker-0"},
                      {other + 1 * kMillisecond, Fault::Kind::kReturn, "worker-0"}};
    expect_finished(job_, run_sim(job_, options));
  }
}

TEST_P(Returns, WhoWasEvictedToo) {
  job_.train.epochs = 100;
  SimOptions options;
  options.faults = {{25 * kMillisecond, Fault::Kind::kPause, "worker-1", "", 800 * kMillisecond}};
  job_.cluster.restarts = 1;
  const Ran ran = run_sim(job_, options);
  expect_finished(job_, ran);
  EXPECT_THAT(ran.metrics("worker_returned"), SizeIs(1));
}

TEST_P(Returns, WhoIsThereStaysAndWhoComesToTheEndIsToldSo) {
  SimOptions options;
  options.faults = {{30 * kMillisecond, Fault::Kind::kReturn, "worker-1"}};
  const Ran ran = run_sim(job_, options);
  expect_success(ran);
  EXPECT_THAT(ran.metrics("worker_returned"), IsEmpty());
  const TimeNs trained = static_cast<TimeNs>(1e9 * ran.metrics("final").at(0)["train_s"].get<double>());
  options.faults = {{20 * kMillisecond, Fault::Kind::kKill, "worker-1"}};
  for (const TimeNs early : {-2, 0, 3, 6, 10}) {
    SCOPED_TRACE(fmt::format("{} ms before the end", early));
    options.faults.resize(1);
    options.faults.push_back({trained - early * kMillisecond, Fault::Kind::kReturn, "worker-1"});
    expect_finished(job_, run_sim(job_, options));
  }
}

}  // namespace
}  // namespace rubato::sim
