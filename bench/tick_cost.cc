// What a tick costs the scheduler, from ten workers to ten thousand: the core alone, without sockets.
//
//   tick_cost [--mode ssp:4] [--workers 10,100,1000,10000] [--ticks 200000]
//
// Workers tick in the order in which they were granted, each at once; every mode therefore goes as fast as its
// policy lets it. Beside each figure stands its ratio to that of ten workers, and log N over log 10: a tick that
// costs O(log N) grows no faster than the second. The last column is CPU time until all had joined. What it is at is
// said on stderr.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <deque>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/time.h"
#include "scheduler/scheduler_core.h"

namespace rubato::bench {
namespace {

using protocol::Grant;
using scheduler::SchedulerCore;

Job job_of(const std::string& mode, std::int64_t workers) {
  Job job;
  job.model.name = "quadratic";
  job.data.kind = "synthetic";
  job.consistency.mode = mode;
  job.cluster.workers = workers;
  job.train.batch = 1;
  job.train.micro_batches = workers;
  job.train.steps = Clock{1} << 40;
  job.evaluation.enabled = false;
  return job;
}

// A job whose members do nothing but answer.
class Driver {
 public:
  Driver(const Job& job, std::uint32_t workers) : core_(job, protocol::Timing{}), workers_(workers), next_(workers, 0) {
    const TimeNs began = cpu_now();
    core_.start(now_, out_);
    std::vector<NodeId> members = {server_node(0), evaluator_node(0)};
    for (std::uint32_t rank = 0; rank < workers; ++rank) members.push_back(worker_node(rank));
    for (const NodeId node : members) receive(node, registration(job, node), 0);
    for (const NodeId node : members) receive(node, protocol::Ready{}, 1);
    RUBATO_CHECK(core_.phase() == scheduler::Phase::kTraining);
    joining_ = cpu_now() - began;
  }

  // CPU time until all were ready.
  [[nodiscard]] TimeNs joining() const { return joining_; }

  // Nanoseconds of CPU time a tick, over so many, with what the driver itself takes.
  double time_ticks(std::uint64_t ticks) {
    const TimeNs began = cpu_now();
    for (std::uint64_t done = 0; done < ticks && !ready_.empty(); ++done) {
      const auto [rank, clock] = ready_.front();
      ready_.pop_front();
      protocol::Tick tick;
      tick.clock = clock;
      tick.samples = 1;
      tick.step_ns = kMillisecond;
      receive(worker_node(rank), tick, 1);
      (void)core_.take_metrics();
    }
    return static_cast<double>(cpu_now() - began) / static_cast<double>(ticks);
  }

 private:
  static protocol::Register registration(const Job& job, NodeId node) {
    protocol::Register message;
    message.nonce = 1'000'000 * static_cast<std::uint64_t>(node.role) + node.rank + 1;
    message.address = "nowhere";
    message.job_hash = job_hash(job);
    if (node.role == Role::kServer) return message;
    message.data_fingerprint = "data";
    message.train_samples = 1'000'000'000;
    ParameterSpec parameter;
    parameter.name = "w";
    parameter.shape = {1};
    message.manifest = {parameter};
    return message;
  }

  static TimeNs cpu_now() {
    std::timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
  }

  // Grants join the queue, and every commit is applied at once.
  void receive(NodeId from, protocol::Body body, Incarnation incarnation) {
    out_.clear();
    now_ += kMicrosecond;
    core_.receive(now_, {from, kSchedulerNode, incarnation, 1, 1, 1}, std::move(body), out_);
    std::uint64_t committed = 0;
    for (const auto& message : out_.messages) {
      if (const auto* grant = std::get_if<Grant>(&message.body); grant != nullptr) note(message.to.rank, *grant);
      if (const auto* commit = std::get_if<protocol::Commit>(&message.body); commit != nullptr)
        committed = commit->number;
    }
    if (committed == 0) return;
    protocol::Committed answer;
    answer.number = committed;
    receive(server_node(0), answer, 1);
  }
  void note(std::uint32_t rank, const Grant& grant) {
    for (const auto& step : grant.steps) {
      if (step.clock < next_[rank]) continue;  // said before
      next_[rank] = step.clock + 1;
      ready_.emplace_back(rank, step.clock);
    }
  }

  SchedulerCore core_;
  std::uint32_t workers_;
  protocol::Outbox out_;
  TimeNs now_ = kSecond, joining_ = 0;
  std::vector<Clock> next_;
  std::deque<std::pair<std::uint32_t, Clock>> ready_;
};

void run(const std::string& mode, const std::vector<std::uint32_t>& sizes, std::uint64_t ticks) {
  double first = 0.0;
  for (const std::uint32_t workers : sizes) {
    fmt::print(stderr, "{}, {} workers: joining ...\n", mode, workers);
    Driver driver(job_of(mode, workers), workers);
    const std::uint64_t most = std::max<std::uint64_t>(ticks, 4 * workers);
    fmt::print(stderr, "{}, {} workers: joined in {:.2f} s; {} ticks ...\n", mode, workers, seconds(driver.joining()),
               most + most / 10);
    driver.time_ticks(most / 10);  // warm
    std::vector<double> rounds;
    for (int round = 0; round < 5; ++round) rounds.push_back(driver.time_ticks(most / 5));
    std::ranges::sort(rounds);
    const double median = rounds[2];
    if (first == 0.0) first = median;
    fmt::print("{:<12} {:>7} {:>10.0f} {:>9.2f} {:>9.2f} {:>10.2f}\n", mode, workers, median, median / first,
               std::log(workers) / std::log(sizes.front()), seconds(driver.joining()));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  CLI::App app{"What a tick costs the scheduler, by the number of workers; medians of five rounds."};
  std::vector<std::string> modes = {"bsp", "ssp:4", "dssp:2..8", "asp", "backup:1", "softsync:1"};
  std::vector<std::uint32_t> sizes = {10, 100, 1000, 10000};
  std::uint64_t ticks = 100000;
  app.add_option("--mode", modes, "modes, separated by commas")->delimiter(',');
  app.add_option("--workers", sizes, "numbers of workers")->delimiter(',');
  app.add_option("--ticks", ticks, "to time, at least four a worker");
  CLI11_PARSE(app, argc, argv);
  fmt::print("{:<12} {:>7} {:>10} {:>9} {:>9} {:>10}\n", "mode", "workers", "ns a tick", "of first", "log N",
             "joining, s");
  for (const std::string& mode : modes) rubato::bench::run(mode, sizes, ticks);
  return 0;
}
