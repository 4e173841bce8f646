// Simulated jobs whose rules change on the way, whatever the network does and whoever dies.
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using testing::IsEmpty;
using testing::SizeIs;
using Json = nlohmann::json;

TimedRuleChange at(TimeNs time, const std::string& words) { return {parse_rule_change(words).value(), time}; }

// Three workers of different pace, and a change on the way.
Job uneven_job(const std::string& mode) {
  Job job = quadratic_job(mode, {3, 2});
  job.train.epochs = 12;
  job.worker.stragglers = "persistent:4x + lognormal:0.3";
  return job;
}

// Grants of steps from `clock` on, in the order in which they were given.
std::vector<Json> grants_from(const Ran& ran, Clock clock) {
  std::vector<Json> found;
  for (const std::string& text : ran.trace)
    if (auto line = Json::parse(text); line["event"] == "grant" && line["clock"] >= clock) found.push_back(line);
  return found;
}

TEST(Changing, BetweenAllModesOnArrival) {
  constexpr const char* kModes[] = {"ssp:0", "ssp:2", "dssp:1..3", "asp"};
  for (const char* from : kModes)
    for (const char* to : kModes) {
      if (from == to) continue;
      SCOPED_TRACE(fmt::format("{} to {}", from, to));
      const Job job = uneven_job(from);
      SimOptions options;
      options.changes = {at(60 * kMillisecond, fmt::format("mode={} rate=0.02", to))};
      const Ran ran = run_sim(job, options);
      expect_success(ran);
      expect_all_consumed(job, ran);
      expect_promises_kept(job, ran);
      ASSERT_THAT(ran.metrics("set"), SizeIs(1));
      ASSERT_THAT(ran.metrics("in_force"), SizeIs(1));
      const Clock first = ran.metrics("set")[0]["clock"];
      EXPECT_EQ(ran.metrics("final")[0]["mode"], to);
      const Mode mode = parse_mode(to).value();
      const auto grants = grants_from(ran, first);
      EXPECT_FALSE(grants.empty());
      for (const Json& grant : grants) {
        EXPECT_EQ(grant["rule_epoch"], 2);
        if (mode.bound == Mode::kUnbounded) continue;
        EXPECT_LE(grant["clock"].get<Clock>() - grant["min"].get<Clock>(), mode.bound) << grant;
      }
    }
}

TEST(Changing, ARateOnlyInEveryMode) {
  for (const char* mode : {"bsp", "backup:1", "softsync:2", "ssp:1"}) {
    SCOPED_TRACE(mode);
    const Job job = uneven_job(mode);
    SimOptions options;
    options.changes = {at(60 * kMillisecond, "rate=0.02"), at(150 * kMillisecond, "rate=0.2")};
    QuadraticWorkload workload(job);
    const Ran ran = run_sim(job, workload, options);
    expect_success(ran);
    expect_promises_kept(job, ran);
    const auto sets = ran.metrics("set");
    ASSERT_THAT(sets, SizeIs(2));
    EXPECT_THAT(ran.metrics("in_force"), SizeIs(2));
    if (job.consistency.mode != "bsp") continue;
    const Rates rates{{sets[0]["clock"], 0.02}, {sets[1]["clock"], 0.2}};
    EXPECT_EQ(ran.result.final_weights, bsp_weights(job, workload, rates).back());
    EXPECT_NE(ran.result.final_weights, bsp_weights(job, workload).back());
  }
}

TEST(Changing, WhateverTheNetworkDoes) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    const Job job = uneven_job("asp");
    SimOptions options = rough_network(seed);
    options.changes = {at(70 * kMillisecond, "mode=ssp:2"), at(90 * kMillisecond, "mode=ssp:1"),
                       at(200 * kMillisecond, "mode=asp rate=0.02")};
    const Ran ran = run_sim(job, options);
    expect_success(ran);
    expect_all_consumed(job, ran);
    expect_promises_kept(job, ran);
  }
}

TEST(Changing, WhoeverDiesWhileTheyAlign) {
  for (const char* victim : {"worker-0", "worker-1", "worker-2"}) {
    for (const bool launcher : {true, false}) {
      SCOPED_TRACE(fmt::format("{}, launcher {}", victim, launcher));
      const Job job = uneven_job("asp");
      SimOptions options;
      options.launcher = launcher;
      options.changes = {at(100 * kMillisecond, "mode=ssp:1")};
      options.faults = {{105 * kMillisecond, Fault::Kind::kKill, victim}};
      const Ran ran = run_sim(job, options);
      EXPECT_EQ(ran.result.exit_code, 0) << ran.result.text;
      EXPECT_THAT(ran.metrics("in_force"), SizeIs(1));
      expect_all_consumed(job, ran);
      expect_promises_kept(job, ran);
    }
  }
}

TEST(Changing, OneThatIsRefusedIsAWarning) {
  Job job = uneven_job("ssp:2");
  SimOptions options;
  options.changes = {at(0, "mode=asp"), at(60 * kMillisecond, "mode=bsp")};
  const Ran ran = run_sim(job, options);
  expect_success(ran);
  EXPECT_THAT(ran.metrics("set"), IsEmpty());
  std::vector<std::string> warnings;
  for (const SimNote& note : ran.result.notes)
    if (note.level == protocol::Level::kWarning) warnings.push_back(note.text);
  ASSERT_THAT(warnings, SizeIs(2));
  EXPECT_THAT(warnings[0], testing::HasSubstr("training has not begun"));
  EXPECT_THAT(warnings[1], testing::HasSubstr("cannot go on in bsp"));
}

}  // namespace
}  // namespace rubato::sim
