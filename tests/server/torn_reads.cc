// Reads while it is written: a shard's slots in shared memory, lent to a reader in another process, while versions are
// published out of place as fast as one core can. Fails if a body was not of one version from first to last element,
// at any time while the reader held it, or if versions went back; says how often a slot that had been lent was written
// again.
//
//   torn_reads --bytes 4096 --reads 10000000
//   torn_reads --bytes 1048576 --reads 10000 --shard-thread
//   torn_reads --bytes 4096 --reads 10000 --one-process      for the thread sanitizer, which sees no other process
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <new>
#include <thread>

#include "base/log.h"
#include "protocol/core_thread.h"
#include "protocol/process.h"
#include "tests/server/torn_reads_cores.h"

namespace rubato::server {
namespace {

struct Options {
  std::size_t bytes = 4096;
  std::uint64_t reads = 100000;
  bool shard_thread = false, one_process = false;
  const std::uint64_t job_id = 0x746f726e0000 + static_cast<std::uint64_t>(::getpid());
};

Job job_over_shared_memory() {
  Job job;
  job.model.name = "quadratic";
  job.data.kind = "synthetic";
  job.cluster.transport = "ipc";
  job.cluster.shared_memory = true;
  return job;
}

std::unique_ptr<protocol::Process> open(const Options& options, NodeId node) {
  auto process =
      protocol::Process::open(job_over_shared_memory(), {.node = node, .job_id = options.job_id, .run_dir = ""});
  RUBATO_CHECK(process.ok(), "{}", process.error().message);
  return std::move(*process);
}

std::string address(const Options& options) {
  return protocol::listen_address(job_over_shared_memory(), options.job_id, server_node(0));
}

class WritingMember {
 public:
  WritingMember(const Options& options, TornReadFigures& figures) : process_(open(options, server_node(0))) {
    // A reader that holds more than this would be given copies.
    const SlotPool::Bounds bounds{.slices = 1, .readers = VersionReader::kPinsMax};
    auto pool = SlotPool::create({.elements = options.bytes / sizeof(float)}, bounds, process_->memory());
    RUBATO_CHECK(pool.ok());
    core_ = std::make_unique<VersionWriter>(*pool, figures);
    if (options.shard_thread)
      core_ = std::make_unique<protocol::CoreThread>(std::move(core_), process_->loop(), process_->node());
    process_->node().host(*core_);
    const auto listening = process_->endpoint().listen(address(options));
    RUBATO_CHECK(listening.ok(), "{}", listening.error().message);
    figures.listening = true;
  }
  int run() { return process_->run(); }
  // From any thread.
  void stop() {
    process_->loop().post([this] { process_->end(0, ""); });
  }

 private:
  std::unique_ptr<protocol::Process> process_;
  std::unique_ptr<protocol::Core> core_;
};

int read_all(const Options& options, TornReadFigures& figures) {
  // Who connects sooner is not met in shared memory, and takes the socket for good.
  while (!figures.listening) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto process = open(options, worker_node(0));
  RUBATO_CHECK(process->node().connect(server_node(0), address(options)).ok());
  VersionReader core(options.reads, figures);
  process->node().host(core);
  return process->run();
}

bool read_from_another_process(const Options& options, TornReadFigures& figures) {
  const pid_t writer = ::fork();
  RUBATO_CHECK(writer >= 0);
  if (writer == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::_Exit(WritingMember(options, figures).run());
  }
  const pid_t reader = ::fork();
  RUBATO_CHECK(reader >= 0);
  if (reader == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::_Exit(read_all(options, figures));
  }
  int status = 0;
  const pid_t first = ::wait(&status);
  const bool good = first == reader && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  ::kill(first == reader ? writer : reader, SIGKILL);
  ::wait(nullptr);
  return good;
}

bool read_from_another_thread(const Options& options, TornReadFigures& figures) {
  WritingMember writer(options, figures);
  std::thread writing([&] { (void)writer.run(); });
  const bool good = read_all(options, figures) == 0;
  writer.stop();
  writing.join();
  return good;
}

int run(const Options& options) {
  log::open("torn_reads", "warning");
  void* shared = ::mmap(nullptr, sizeof(TornReadFigures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  RUBATO_CHECK(shared != MAP_FAILED);
  auto& figures = *new (shared) TornReadFigures();
  const TimeNs began = steady_now();
  const bool ended =
      options.one_process ? read_from_another_thread(options, figures) : read_from_another_process(options, figures);
  const double took_s = static_cast<double>(steady_now() - began) * 1e-9;
  const double versions = static_cast<double>(figures.versions);
  const std::uint64_t reads = options.reads, in_place = figures.read_in_place;
  fmt::print("{} reads of {} bytes in {:.1f} s, {} of them where the bytes lie, {} of a copy that the shard made\n",
             figures.read.load(), options.bytes, took_s, in_place, figures.copied.load());
  fmt::print("{} versions in {} slots, {:.0f} a second; {} of them read; {} reuses of slots that had been lent\n",
             figures.versions.load(), figures.slots.load(), versions / took_s, figures.versions_seen.load(),
             figures.reused.load());
  fmt::print("{} torn, {} older than the one before\n", figures.torn.load(), figures.backwards.load());
  const bool as_meant = figures.read == reads && in_place == reads && figures.copied == 0 && figures.reused > 0;
  return ended && as_meant && figures.torn == 0 && figures.backwards == 0 ? 0 : 1;
}

}  // namespace
}  // namespace rubato::server

int main(int argc, char** argv) {
  rubato::server::Options options;
  CLI::App app("Reads slots of a shard while it writes versions at full speed, and looks for torn ones.");
  app.add_option("--bytes", options.bytes, "of a slice")->check(CLI::Range(1024, 1 << 28));
  app.add_option("--reads", options.reads, "how many")->check(CLI::PositiveNumber);
  app.add_flag("--shard-thread", options.shard_thread, "the shard has a thread of its own, as one of several has");
  app.add_flag("--one-process", options.one_process, "threads in the place of processes");
  CLI11_PARSE(app, argc, argv);
  return rubato::server::run(options);
}
