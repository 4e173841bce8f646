// What pushing and pulling costs beside the update itself: real shards in processes of their own, workers that compute
// nothing, and, between their rounds, the same update of the same gradients in one loop.
//
//   push_pull --model 256 --slice 1048576
//   push_pull --lane tcp --slice 65536 --rule sgd
//   push_pull --slice 4096 --model 4 --window 1        round trips: one slice under way at a time
//   push_pull --touch                                  gradients written before, weights read after
//   push_pull --workers 4 --shards 2 --json figures.json
//
// A round pushes a gradient to every slice and waits for all new weights. Shown are medians of rounds (GB are of
// gradients; as many bytes of weights come back), of CPU seconds of servers and workers a GB, and of page faults.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "base/log.h"
#include "bench/pusher.h"
#include "kernels/cpu/apply_rule.h"
#include "protocol/process.h"
#include "server/shard_core.h"

namespace rubato::bench {
namespace {

struct Options {
  std::string lane = "shm", rule = "momentum", json;
  std::size_t model_mib = 64;
  std::int64_t slice_bytes = 1 << 20;
  std::uint32_t workers = 1, shards = 1;
  PusherOptions pusher;
};

Job job_of(const Options& options) {
  Job job;
  job.model.name = "quadratic";
  job.data.kind = "synthetic";
  job.optimizer.name = options.rule;
  job.consistency.mode = "asp";
  job.cluster.workers = options.workers;
  job.cluster.servers = options.shards;
  job.cluster.slice_bytes = options.slice_bytes;
  job.cluster.transport = options.lane == "tcp" ? "tcp" : "ipc";
  job.cluster.shared_memory = options.lane == "shm";
  return job;
}

// The scheduler of a job without steps: it lets everybody in, and answers heartbeats.
class Doorman final : public protocol::Core {
 public:
  explicit Doorman(const Options& options) : options_(options), servers_(options.shards), workers_(options.workers) {}

  [[nodiscard]] protocol::Identity identity() const override { return {kSchedulerNode, 1, 1, 1}; }
  void start(TimeNs, protocol::Outbox&) override {}
  void wake(TimeNs, protocol::Outbox&) override {}
  [[nodiscard]] TimeNs deadline() const override { return kNever; }

  void receive(TimeNs, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override {
    out.bind(envelope);
    if (const auto* registration = std::get_if<protocol::Register>(&body)) {
      if (envelope.from.role == Role::kServer) {
        servers_[envelope.from.rank] = registration->address;
        if (std::ranges::count(servers_, "") == 0) welcome_servers(out);
      } else {
        workers_[envelope.from.rank] = true;
      }
    } else if (std::holds_alternative<protocol::Heartbeat>(body)) {
      out.reply(envelope, protocol::Beat{true, 0});
    } else if (std::holds_alternative<protocol::Ready>(body) && envelope.from.role == Role::kServer) {
      ++ready_;
    }
    if (ready_ < options_.shards || welcomed_ || std::ranges::count(workers_, false) > 0) return;
    welcomed_ = true;
    for (std::uint32_t rank = 0; rank < options_.workers; ++rank) out.send(worker_node(rank), welcome());
  }

 private:
  [[nodiscard]] protocol::Welcome welcome() const {
    protocol::Welcome welcome;
    welcome.incarnation = welcome.generation = 1;
    ParameterSpec weights;
    weights.name = "weights";
    weights.shape = {static_cast<std::int64_t>(options_.model_mib << 18)};
    welcome.manifest = {weights};
    welcome.routing = {
        1, protocol::cut_slices(welcome.manifest, static_cast<std::uint64_t>(options_.slice_bytes), options_.shards),
        servers_};
    for (std::uint32_t rank = 0; rank < options_.workers; ++rank) welcome.active.push_back({rank, 1, 0});
    return welcome;
  }
  void welcome_servers(protocol::Outbox& out) {
    for (std::uint32_t rank = 0; rank < options_.shards; ++rank) out.send(server_node(rank), welcome());
  }

  const Options& options_;
  std::vector<std::string> servers_;
  std::vector<bool> workers_;
  std::uint32_t ready_ = 0;
  bool welcomed_ = false;
};

// ---- processes ------------------------------------------------------------------------------------------

constexpr std::uint64_t kJobIdBase = 0x62656e63680000;

std::unique_ptr<protocol::Process> open(const Options& options, NodeId node, std::uint64_t job_id) {
  log::open(node.name(), "warning");
  auto process = protocol::Process::open(job_of(options), {.node = node, .job_id = job_id, .run_dir = ""});
  RUBATO_CHECK(process.ok(), "{}", process.error().message);
  return std::move(*process);
}

protocol::Register registration(NodeId node) {
  protocol::Register details;
  details.nonce = node.rank + 1;
  details.pid = static_cast<std::uint32_t>(::getpid());
  details.host = "here";
  return details;
}

std::string scheduler_address(const Options& options, std::uint64_t job_id) {
  Job job = job_of(options);
  job.cluster.transport = "ipc";
  return protocol::listen_address(job, job_id, kSchedulerNode);
}

int serve(const Options& options, std::uint32_t rank, std::uint64_t job_id) {
  const auto process = open(options, server_node(rank), job_id);
  protocol::Register details = registration(server_node(rank));
  details.address =
      process->endpoint().listen(protocol::listen_address(job_of(options), job_id, server_node(rank))).value();
  RUBATO_CHECK(process->node().connect(kSchedulerNode, scheduler_address(options, job_id)).ok());
  server::ShardCore shard(server_node(rank), job_of(options), details, {}, std::uint64_t{1} << 40, process->memory());
  process->node().host(shard);
  return process->run();
}

// CPU seconds and minor faults of a process so far.
struct Usage {
  double cpu_s = 0.0;
  double faults = 0.0;
};
Usage usage_of(pid_t pid) {
  clockid_t clock{};
  std::timespec time{};
  RUBATO_CHECK(::clock_getcpuclockid(pid, &clock) == 0 && ::clock_gettime(clock, &time) == 0, "process {}", pid);
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  std::string word;
  for (int field = 0; field < 10; ++field) stat >> word;  // no space in a name of ours
  return {static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec), std::stod(word)};
}

// The same update of the same gradients, in place, in one loop.
class Limit {
 public:
  explicit Limit(const Options& options)
      : options_(options), rule_(kernels::make_rule(job_of(options).optimizer).value()) {}

  TimeNs run(const std::vector<std::span<float>>& gradients) {
    if (slots_.empty()) allocate(gradients);
    const TimeNs began = steady_now();
    kernels::UpdateScalars scalars{.rate = 1e-3};
    scalars.update_count = ++updates_;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (options_.pusher.touch) std::ranges::fill(gradients[i], 1e-3f * static_cast<float>(updates_));
      kernels::cpu::apply_rule(rule_, scalars, slots_[i], gradients[i], slots_[i]);
      if (options_.pusher.touch)
        for (const float value : slots_[i].weights) checksum_ += value;
    }
    return steady_now() - began;
  }

 private:
  void allocate(const std::vector<std::span<float>>& gradients) {
    const std::size_t planes = kernels::state_planes(rule_.kind);
    for (const auto& gradient : gradients) {
      kernels::SlotView view;
      const auto plane = [&] {
        blocks_.push_back(PrivateMemory().floats(gradient.size()));
        return std::span(blocks_.back().get(), gradient.size());
      };
      view.weights = plane();
      for (std::size_t i = 0; i < planes; ++i) view.state[i] = plane();
      slots_.push_back(view);
    }
  }

  const Options& options_;
  const kernels::RuleConfig rule_;
  std::vector<std::shared_ptr<float[]>> blocks_;
  std::vector<kernels::SlotView> slots_;
  std::uint64_t updates_ = 0;
  float checksum_ = 0.0f;
};

// Writes what it measured to `results`, as one JSON object.
int push(const Options& options, std::uint32_t rank, std::uint64_t job_id, const std::vector<pid_t>& servers,
         int results) {
  const auto process = open(options, worker_node(rank), job_id);
  RUBATO_CHECK(process->node().connect(kSchedulerNode, scheduler_address(options, job_id)).ok());
  nlohmann::json found = {{"rounds", nlohmann::json::array()},
                          {"limits", nlohmann::json::array()},
                          {"trips", nlohmann::json::array()},
                          {"cpu_s", nlohmann::json::array()},
                          {"faults", nlohmann::json::array()}};
  Limit limit(options);
  Usage before;
  const auto usage_now = [&] {
    Usage sum = usage_of(::getpid());
    if (rank != 0) return sum;  // each server once
    for (const pid_t server : servers) {
      const Usage one = usage_of(server);
      sum.cpu_s += one.cpu_s;
      sum.faults += one.faults;
    }
    return sum;
  };
  Pusher pusher(worker_node(rank), registration(worker_node(rank)), options.pusher, process->memory(),
                {.before_round =
                     [&](const Pusher& self, int round) {
                       if (options.workers == 1 && round > 0) found["limits"].push_back(limit.run(self.gradients()));
                       before = usage_now();
                     },
                 .round_done =
                     [&](TimeNs took, const std::vector<TimeNs>& trips) {
                       const Usage after = usage_now();
                       found["rounds"].push_back(took);
                       found["cpu_s"].push_back(after.cpu_s - before.cpu_s);
                       found["faults"].push_back(after.faults - before.faults);
                       if (!trips.empty()) found["trips"] = trips;
                     },
                 .all_done = [&] { process->end(0, ""); }});
  process->node().host(pusher);
  const int code = process->run();
  const std::string text = found.dump() + "\n";
  RUBATO_CHECK(::write(results, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  return code;
}

// ---- figures --------------------------------------------------------------------------------------------

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0.0 : values[values.size() / 2];
}
// The first round warms up.
double median_of(const nlohmann::json& values, std::size_t skip = 1) {
  std::vector<double> list = values.get<std::vector<double>>();
  list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(std::min(skip, list.size())));
  return median(list);
}

void show(const Options& options, const std::vector<nlohmann::json>& workers) {
  const double gb = static_cast<double>(options.model_mib << 20) * 1e-9;
  double gb_per_s = 0.0, cpu_s = 0.0, faults = 0.0;
  for (const auto& worker : workers) {
    gb_per_s += gb / (1e-9 * median_of(worker.at("rounds")));
    cpu_s += median_of(worker.at("cpu_s"));
    faults += median_of(worker.at("faults"));
  }
  nlohmann::json rows = nlohmann::json::array();
  const auto row = [&](const std::string& name, double value, const char* unit, double limit) {
    const bool limited = limit > 0.0;
    fmt::print("  {:<34}{:>10.3f} {:<8}", name, value, unit);
    if (limited) fmt::print(" limit {:>8.3f}   ratio {:.2f}", limit, value / limit);
    fmt::print("\n");
    rows.push_back({{"name", name}, {"value", value}, {"unit", unit}});
    if (limited) rows.back().update({{"limit", limit}, {"ratio", value / limit}});
  };
  fmt::print("{}, {} MiB in slices of {} bytes, {}, {} workers, {} shards{}\n", options.lane, options.model_mib,
             options.slice_bytes, options.rule, options.workers, options.shards,
             options.pusher.touch ? ", gradients written, weights read" : "");
  const double limit = options.workers == 1 ? gb / (1e-9 * median_of(workers[0].at("limits"), 0)) : 0.0;
  row("gradients pushed", gb_per_s, "GB/s", limit);
  row("CPU seconds of all", cpu_s / gb / static_cast<double>(workers.size()), "s/GB", 0.0);
  row("page faults", faults / gb / static_cast<double>(workers.size()), "/GB", 0.0);
  std::vector<double> trips = workers[0].at("trips").get<std::vector<double>>();
  if (!trips.empty()) {
    std::ranges::sort(trips);
    row("round trip, median", 1e-3 * trips[trips.size() / 2], "us", 0.0);
    row("round trip, 99 of 100", 1e-3 * trips[trips.size() * 99 / 100], "us", 0.0);
  }
  if (!options.json.empty()) std::ofstream(options.json) << rows.dump(1) << "\n";
}

pid_t fork_to(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  RUBATO_CHECK(pid >= 0);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::_Exit(work());
  }
  return pid;
}

int run(const Options& options) {
  const std::uint64_t job_id = kJobIdBase + static_cast<std::uint64_t>(::getpid());
  std::vector<pid_t> servers, workers;
  for (std::uint32_t rank = 0; rank < options.shards; ++rank)
    servers.push_back(fork_to([&] { return serve(options, rank, job_id); }));
  // Before there is a pipe: it is read until everybody who could write to it has ended.
  const pid_t doorman = fork_to([&] {
    const auto process = open(options, kSchedulerNode, job_id);
    RUBATO_CHECK(process->endpoint().listen(scheduler_address(options, job_id)).ok());
    Doorman core(options);
    process->node().host(core);
    return process->run();
  });
  int ends[2];
  RUBATO_CHECK(::pipe(ends) == 0);
  for (std::uint32_t rank = 0; rank < options.workers; ++rank)
    workers.push_back(fork_to([&] { return push(options, rank, job_id, servers, ends[1]); }));
  ::close(ends[1]);
  std::string text;
  std::vector<char> piece(1 << 16);
  for (ssize_t size = 0; (size = ::read(ends[0], piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<std::size_t>(size));
  bool good = true;
  for (const pid_t worker : workers) {
    int status = 0;
    ::waitpid(worker, &status, 0);
    good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  servers.push_back(doorman);
  for (const pid_t pid : servers) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  if (!good) return 1;
  std::vector<nlohmann::json> results;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    results.push_back(nlohmann::json::parse(text.substr(at, text.find('\n', at) - at)));
  show(options, results);
  return 0;
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  rubato::bench::Options options;
  CLI::App app("What pushing and pulling costs beside the update itself.");
  app.add_option("--lane", options.lane, "shm, ipc or tcp")->check(CLI::IsMember({"shm", "ipc", "tcp"}));
  app.add_option("--rule", options.rule, "an optimizer's name");
  app.add_option("--model", options.model_mib, "MiB of weights");
  app.add_option("--slice", options.slice_bytes, "bytes of a slice");
  app.add_option("--workers", options.workers, "processes that push");
  app.add_option("--shards", options.shards, "processes that apply");
  app.add_option("--window", options.pusher.window, "slices under way at most, of a worker");
  app.add_option("--rounds", options.pusher.rounds, "the first of which warms up")->check(CLI::Range(2, 100000));
  app.add_flag("--touch", options.pusher.touch, "write gradients before they are pushed, read weights that come back");
  app.add_option("--json", options.json, "a file for the figures: name, value, unit, limit, ratio");
  CLI11_PARSE(app, argc, argv);
  return rubato::bench::run(options);
}
