// What pushing and pulling costs: real shards in processes of their own, and workers that compute nothing. Between
// their rounds, over the same gradients: the same update in one loop and in two, memcpy, and the same messages over raw
// loopback TCP and raw libzmq.
//
//   push_pull --model 256 --slice 1048576
//   push_pull --lane shm,ipc,tcp --slice 4096,65536,1048576 --workers 1,2,4 --shards 1,2     every combination
//   push_pull --lane tcp --rule none --read            what is carried alone: nothing is applied, both ends read it
//   push_pull --slice 4096 --model 4 --window 1 --warm           round trips: one slice under way at a time
//   push_pull --slice 4096 --model 1 --window 1 --pause 2000     the same, when everybody sleeps
//   push_pull --mode bsp --workers 4 --shards 2 --model 256      updates of four gradients each
//   push_pull --slice 4096 --window 1 --warm --pin     each process on a core of its own; says which
//   push_pull --touch                                  gradients written before, weights read after
//   push_pull --json figures.json                      rows of name, value, unit, limit, ratio
//
// A round pushes a gradient to every slice and waits for all new weights. Shown are medians of rounds: GB of gradients
// a second (as many bytes of weights come back) beside each limit; CPU seconds of servers and workers and page faults
// a GB, and round trips, beside those of raw libzmq.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <utility>

#include "bench/cores.h"
#include "bench/push_pull_processes.h"
#include "bench/rows.h"

namespace rubato::bench {
namespace {

struct Options {
  std::vector<std::string> lanes = {"shm"}, rules = {"momentum"}, modes = {"asp"};
  std::vector<std::size_t> models_mib = {64};
  std::vector<std::int64_t> slices_bytes = {1 << 20};
  std::vector<std::uint32_t> workers = {1}, shards = {1};
  PusherOptions pusher;
  bool touch = false, warm = false, pin = false;
  std::string json;
};

// ---- processes --------------------------------------------------------------------------------------------

// Ends with this process, however that ends.
pid_t fork_to(const std::function<int()>& work) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  RUBATO_CHECK(pid >= 0);
  if (pid == 0) {
    // A parent that died before this was asked for sends no signal any more.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) std::_Exit(1);
    std::_Exit(work());
  }
  return pid;
}

FarEnd start_far_end(const Case& test, RawKind kind) {
  const std::vector<protocol::SliceSpec> slices = test.slices();
  const RawShape shape{slices.front().elements(), slices.size()};
  int ends[2];
  RUBATO_CHECK(::pipe(ends) == 0);
  FarEnd far_end;
  far_end.process = fork_to([&]() -> int { answer_raw(kind, shape, ends[1]); });
  ::close(ends[1]);
  for (char letter = 0; ::read(ends[0], &letter, 1) == 1 && letter != '\n';) far_end.address += letter;
  ::close(ends[0]);
  return far_end;
}

void kill_and_wait(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

// One that was free a moment ago.
std::int64_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  RUBATO_CHECK(::bind(socket, generic, length) == 0 && ::getsockname(socket, generic, &length) == 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

// Says who ended before it should have, and how; one that ended with a code has said why, too.
void say_end(const std::string& name, int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    fmt::print(stderr, "push_pull: {} was killed by signal {} ({})\n", name, signal, ::strsignal(signal));
  } else {
    fmt::print(stderr, "push_pull: {} ended with exit code {}\n", name, WEXITSTATUS(status));
  }
}

// Of each worker; nothing if a process failed, which is said.
std::vector<nlohmann::json> measure(Stage& stage) {
  const Case& test = stage.test;
  stage.barrier = std::make_unique<SharedBarrier>(test.workers);
  stage.scheduler_port = free_port();
  for (std::size_t kind = 0; kind < kRawKinds.size(); ++kind)
    stage.far_ends[kind] = start_far_end(test, kRawKinds[kind]);
  for (std::uint32_t rank = 0; rank < test.shards; ++rank)
    stage.servers.push_back(fork_to([&] { return serve(stage, rank); }));
  std::map<pid_t, std::string> others = {{fork_to([&] { return keep_door(stage); }), "the scheduler's stand-in"}};
  for (std::uint32_t rank = 0; rank < test.shards; ++rank) others[stage.servers[rank]] = server_node(rank).name();
  for (const FarEnd& far_end : stage.far_ends) others[far_end.process] = "the far end of a raw connection";

  std::vector<std::pair<pid_t, int>> workers;  // and the files of their results
  for (std::uint32_t rank = 0; rank < test.workers; ++rank) {
    const int results = ::memfd_create("results", 0);
    RUBATO_CHECK(results >= 0);
    workers.emplace_back(fork_to([&] { return push(stage, rank, results); }), results);
  }
  // One that fails leaves the others waiting.
  bool good = true;
  for (std::size_t ended = 0; good && ended < workers.size();) {
    int status = 0;
    const pid_t pid = ::wait(&status);
    const auto worker = std::ranges::find(workers, pid, &std::pair<pid_t, int>::first);
    const bool of_workers = worker != workers.end();
    good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!good) {
      const auto rank = static_cast<std::uint32_t>(worker - workers.begin());
      say_end(of_workers ? worker_node(rank).name() : others[pid], status);
    }
    if (of_workers) ++ended;
  }
  std::vector<nlohmann::json> found;
  for (const auto& [pid, results] : workers) {
    if (!good) kill_and_wait(pid);
    std::string text(static_cast<std::size_t>(::lseek(results, 0, SEEK_END)), '\0');
    if (good && ::pread(results, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()))
      found.push_back(nlohmann::json::parse(text));
    ::close(results);
  }
  for (const auto& [pid, name] : others) kill_and_wait(pid);
  return found;
}

// ---- figures ----------------------------------------------------------------------------------------------

// The median over all rounds but the first, which warms up.
double median_of(const nlohmann::json& rounds, const char* what) {
  std::vector<double> values;
  for (std::size_t i = 1; i < rounds.size(); ++i) values.push_back(rounds[i].at(what));
  return median(std::move(values));
}

void show(const Case& test, const std::vector<nlohmann::json>& workers, Rows& rows) {
  const std::string name = test.name();
  const nlohmann::json &first = workers[0].at("rounds"), &limits = workers[0].at("limits");
  const double one = test.gigabytes(), all = one * test.workers;
  std::vector<double> took, cpu_s, faults;
  for (std::size_t round = 1; round < first.size(); ++round) {
    double longest = 0.0, cpu = 0.0, fault = 0.0;
    for (const nlohmann::json& worker : workers) {
      const nlohmann::json& mine = worker.at("rounds")[round];
      longest = std::max(longest, mine.at("seconds").get<double>());
      cpu += mine.at("cpu_s").get<double>();
      fault += mine.at("faults").get<double>();
    }
    took.push_back(longest);
    cpu_s.push_back(cpu);
    faults.push_back(fault);
  }
  for (const auto& [limit, rounds] : limits.items()) {
    const double moved = limit.starts_with("update") ? one * static_cast<double>(test.terms()) : one;
    rows.add(fmt::format("{}/pushed of {}", name, limit), all / median(took), "GB/s",
             moved / median_of(rounds, "seconds"));
  }
  for (const char* raw : {"tcp", "zmq"})
    rows.add(name + "/cpu of " + raw, median(cpu_s) / all, "s/GB", median_of(limits.at(raw), "cpu_s") / one);
  const nlohmann::json& zmq = limits.at("zmq");
  rows.add(name + "/page faults", median(faults) / all, "/GB", median_of(zmq, "faults") / one);
  rows.add(name + "/round trip p50", median_of(first, "p50_us"), "us", median_of(zmq, "p50_us"));
  rows.add(name + "/round trip p99", median_of(first, "p99_us"), "us", median_of(zmq, "p99_us"));
}

std::vector<Case> cases_of(const Options& options) {
  std::vector<Case> cases;
  for (const std::string& lane : options.lanes)
    for (const std::string& rule : options.rules)
      for (const std::string& mode : options.modes)
        for (const std::size_t model : options.models_mib)
          for (const std::int64_t slice : options.slices_bytes)
            for (const std::uint32_t workers : options.workers)
              for (const std::uint32_t shards : options.shards)
                cases.push_back({lane, rule, mode, model, slice, workers, shards, options.warm, options.pusher});
  return cases;
}

void say_cores(const Stage& stage) {
  std::string text;
  const auto add = [&](NodeId node) {
    text += fmt::format("{}{} to core {}", text.empty() ? "" : ", ", node.name(), stage.core_of(node).front());
  };
  for (std::uint32_t rank = 0; rank < stage.test.shards; ++rank) add(server_node(rank));
  for (std::uint32_t rank = 0; rank < stage.test.workers; ++rank) add(worker_node(rank));
  fmt::print("pinned: {}\n", text);
  std::fflush(stdout);  // before the processes that it speaks of have copies of it
}

int run(const Options& options) {
  const std::vector<int> cores = options.pin ? allowed_cores() : std::vector<int>();
  if (cores.size() == 1) {
    fmt::print(stderr, "--pin: this process may use core {} alone, and two ends need two\n", cores.front());
    return 2;
  }
  const std::int64_t model = static_cast<std::int64_t>(std::ranges::min(options.models_mib)) << 20;
  if (const std::int64_t slice = std::ranges::max(options.slices_bytes); slice > model) {
    fmt::print(stderr, "--slice: {} is more than the model of {} bytes: at most that is allowed\n", slice, model);
    return 2;
  }
  constexpr std::uint64_t kJobIdBase = 0x62656e63680000;
  std::uint64_t job_id = kJobIdBase + static_cast<std::uint64_t>(::getpid());
  Rows rows;
  Rows::print_heading();
  for (const Case& test : cases_of(options)) {
    Stage stage;
    stage.test = test;
    stage.cores = cores;
    stage.job_id = job_id;
    job_id += std::uint64_t{1} << 32;
    if (options.pin) say_cores(stage);
    const std::vector<nlohmann::json> workers = measure(stage);
    if (workers.empty()) return 1;
    show(test, workers, rows);
  }
  const Status written = rows.write(options.json);
  if (!written.ok()) fmt::print(stderr, "{}\n", written.error().message);
  return written.ok() ? 0 : 1;
}

// A slice is whole float32.
std::string check_slice(const std::string& text) {
  std::int64_t bytes = 0;
  if (CLI::detail::lexical_cast(text, bytes) && bytes >= 4 && bytes % 4 == 0) return {};
  return fmt::format("{} is no size of a slice: a multiple of 4 is allowed, from 4 to the bytes of the model", text);
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  rubato::bench::Options options;
  std::int64_t pause_us = 0;
  CLI::App app("What pushing and pulling costs, beside what bounds it. Lists are separated by commas.");
  app.option_defaults()->always_capture_default();
  app.add_option("--lane", options.lanes, "shm, ipc or tcp")
      ->delimiter(',')
      ->check(CLI::IsMember({"shm", "ipc", "tcp"}));
  app.add_option("--rule", options.rules, "an optimizer's name, or none")
      ->delimiter(',')
      ->check(CLI::IsMember({"none", "sgd", "momentum", "nesterov", "adam", "adamw"}));
  app.add_option("--mode", options.modes, "asp or bsp")->delimiter(',')->check(CLI::IsMember({"asp", "bsp"}));
  app.add_option("--model", options.models_mib, "MiB of weights")->delimiter(',')->check(CLI::Range(1, 1 << 20));
  app.add_option("--slice", options.slices_bytes, "bytes of a slice, a multiple of 4, at most the model")
      ->delimiter(',')
      ->check(rubato::bench::check_slice);
  app.add_option("--workers", options.workers, "processes that push")->delimiter(',')->check(CLI::Range(1, 64));
  app.add_option("--shards", options.shards, "processes that apply")->delimiter(',')->check(CLI::Range(1, 64));
  app.add_option("--window", options.pusher.window, "slices under way at most, of a worker")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--rounds", options.pusher.rounds, "the first of which warms up")->check(CLI::Range(2, 100000));
  app.add_option("--pause", pause_us, "microseconds before each push; with --window 1: round trips from idle")
      ->check(CLI::Range(0, 10000000));
  app.add_flag("--warm", options.warm, "leave the caches as they are; else each round finds its data in memory");
  app.add_flag("--read", options.pusher.read, "read weights that come back");
  app.add_flag("--touch", options.touch, "write gradients before they are pushed, and read weights that come back");
  app.add_flag("--pin", options.pin, "each process on a core of its own, in turn where there are fewer cores");
  app.add_option("--json", options.json, "a file for the figures: name, value, unit, limit, ratio");
  CLI11_PARSE(app, argc, argv);
  options.pusher.pause = pause_us * rubato::kMicrosecond;
  if (options.touch) options.pusher.write = options.pusher.read = true;
  return rubato::bench::run(options);
}
