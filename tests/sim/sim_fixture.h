// What tests of simulated jobs share: small jobs on the quadratic, a run with its trace, and the checker
// of tests/checker on that trace.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/quadratic_workload.h"
#include "sim/sim_job.h"
#include "tests/sim/reference.h"
#include "tests/sim/trace_setting.h"

namespace rubato::sim {

struct Cluster {
  std::int64_t workers = 2, servers = 1;
  std::int64_t slice_bytes = 64;  // 16 weights
};

// 48 weights, 40 samples; in bsp batches of 12 in 4 leaves, else of 6. A mode "asp leased" is asp with leases.
inline Job quadratic_job(const std::string& name, Cluster cluster = {}) {
  const std::string mode = name.substr(0, name.find(' '));
  Job job;
  job.model.name = "quadratic";
  job.model.size = 48;
  job.data.kind = "synthetic";
  job.data.samples = 40;
  job.optimizer.name = "momentum";
  job.optimizer.momentum = 0.5;
  job.optimizer.rate = 0.1;
  job.consistency.mode = mode;
  if (name != mode) job.data.shards = "leased";
  job.cluster.workers = cluster.workers;
  job.cluster.servers = cluster.servers;
  job.cluster.slice_bytes = cluster.slice_bytes;
  job.train.epochs = 2;
  job.train.batch = mode == "bsp" ? 12 : 6;
  job.train.micro_batches = 4;
  job.train.seed = 5;
  job.simulation.step_ms = 10.0;
  job.simulation.step_fixed = 1.0;  // however many samples
  job.simulation.evaluation_ms = 5.0;
  return job;
}

inline constexpr TimeNs kPatience = 300 * kSecond;  // virtual

struct Ran {
  SimResult result;
  std::vector<std::string> trace;
  std::size_t slices = 0;

  [[nodiscard]] std::vector<nlohmann::json> metrics(const std::string& event) const {
    std::vector<nlohmann::json> found;
    for (const std::string& line : result.metrics)
      if (auto json = nlohmann::json::parse(line); json["event"] == event) found.push_back(std::move(json));
    return found;
  }
  [[nodiscard]] std::size_t exits_with(int code) const {
    std::size_t count = 0;
    for (const auto& [node, end] : result.ends) count += end.exit_code == code;
    return count;
  }
};

inline Ran run_sim(const Job& job, Workload& workload, SimOptions options = {}) {
  Ran ran;
  options.trace = [&](NodeId, const std::string& line) { ran.trace.push_back(line); };
  ran.result = SimJob::open(job, std::move(options), workload).value()->run(kPatience);
  for (const auto& shard : ran.result.shards) ran.slices += shard.slices;
  return ran;
}

inline Ran run_sim(const Job& job, SimOptions options = {}) {
  QuadraticWorkload workload(job);
  return run_sim(job, workload, std::move(options));
}

// Plain descent, with one worker that is always slow, for twelve epochs: long enough to come near the optimum.
inline Job descent_job(const std::string& mode, Cluster cluster) {
  Job job = quadratic_job(mode, cluster);
  job.train.epochs = 12;
  job.optimizer.name = "sgd";
  job.worker.stragglers = "persistent:3x + lognormal:0.5";
  return job;
}

// A network that loses, repeats and reorders, in an order that the seed decides.
inline SimOptions rough_network(std::uint64_t seed) {
  SimOptions options;
  options.seed = seed;
  options.link.loss = 0.1;
  options.link.duplication = 0.2;
  options.link.reordering = 0.2;
  options.link.held_up = transport::Delay::exponential(0, 5 * kMillisecond);
  options.timing.lost_after = 2 * kSecond;
  return options;
}

// Everybody ended well.
inline void expect_success(const Ran& ran) {
  EXPECT_TRUE(ran.result.over) << ran.result.unfinished;
  EXPECT_EQ(ran.result.exit_code, 0) << ran.result.text;
  for (const auto& [node, end] : ran.result.ends) EXPECT_EQ(end.exit_code, 0) << node.name() << ": " << end.text;
}

// Runs tests/checker over the trace, as one simulated run.
inline void expect_promises_kept(const Job& job, const Ran& ran, bool complete = true) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) /
                                       fmt::format("{}.{}.{}", test->test_suite_name(), test->name(), getpid());
  std::filesystem::create_directories(folder);
  nlohmann::json setting = trace_setting(job, job.cluster.workers, ran.slices);
  setting["complete"] = complete;
  std::ofstream(folder / "run.json") << setting;
  {
    std::ofstream file(folder / "trace.jsonl");
    for (const std::string& line : ran.trace) file << R"({"seed":1,)" << line.substr(1) << '\n';
  }
  const std::string command =
      fmt::format("{} {}/tests/checker/check_trace.py {}/run.json {}/trace.jsonl > {}/out 2>&1", RUBATO_PYTHON,
                  RUBATO_ROOT, folder.string(), folder.string(), folder.string());
  const int status = std::system(command.c_str());
  std::stringstream said;
  said << std::ifstream(folder / "out").rdbuf();
  EXPECT_EQ(status, 0) << said.str();
  std::filesystem::remove_all(folder);
}

// Every sample of every epoch was consumed, or is counted as dropped.
inline void expect_all_consumed(const Job& job, const Ran& ran) {
  const auto final = ran.metrics("final");
  ASSERT_THAT(final, testing::SizeIs(1));
  EXPECT_EQ(final[0]["samples"].get<std::int64_t>() + final[0]["samples_dropped"].get<std::int64_t>(),
            job.data.samples * job.train.epochs);
}

// What holds of every job that ends well, whatever has happened to some of its workers.
inline void expect_finished(const Job& job, const Ran& ran) {
  EXPECT_TRUE(ran.result.over) << ran.result.unfinished;
  EXPECT_EQ(ran.result.exit_code, 0) << ran.result.text;
  if (job.consistency.mode == "bsp") {
    ASSERT_THAT(ran.metrics("final"), testing::SizeIs(1));
    EXPECT_EQ(ran.result.final_weights, bsp_weights(job, QuadraticWorkload(job)).back());
  } else {
    expect_all_consumed(job, ran);
  }
  expect_promises_kept(job, ran);
}

// A descent_job without losses: all that its epochs have was consumed, and the weights are near the optimum.
inline void expect_descended(const Job& job, const Ran& ran, QuadraticWorkload& workload) {
  expect_success(ran);
  EXPECT_LT(distance(ran.result.final_weights, optimum(workload)), 0.25f);
  expect_all_consumed(job, ran);
  EXPECT_EQ(ran.metrics("final").at(0)["samples_dropped"], 0);
}

}  // namespace rubato::sim
