#include "bench/push_pull_processes.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <optional>
#include <utility>

#include "base/log.h"
#include "bench/cores.h"
#include "bench/pusher.h"
#include "bench/reading_shard.h"
#include "protocol/process.h"
#include "server/held_root.h"
#include "server/shard_core.h"

namespace rubato::bench {

// ---- the barrier ------------------------------------------------------------------------------------------

struct SharedBarrier::Memory {
  pthread_barrier_t barrier;
};

SharedBarrier::SharedBarrier(unsigned int processes) {
  void* memory = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  RUBATO_CHECK(memory != MAP_FAILED);
  memory_ = new (memory) Memory();
  pthread_barrierattr_t shared;
  RUBATO_CHECK(::pthread_barrierattr_init(&shared) == 0 &&
               ::pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) == 0 &&
               ::pthread_barrier_init(&memory_->barrier, &shared, processes) == 0);
}
SharedBarrier::~SharedBarrier() { ::munmap(memory_, sizeof(Memory)); }
void SharedBarrier::wait() const { ::pthread_barrier_wait(&memory_->barrier); }

namespace {

// ---- the doorman ------------------------------------------------------------------------------------------

// The scheduler of a job without steps: it lets everybody in, and answers heartbeats.
class Doorman final : public protocol::Core {
 public:
  explicit Doorman(const Case& test) : test_(test), servers_(test.shards), workers_(test.workers) {}

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
    if (ready_ < test_.shards || welcomed_ || std::ranges::count(workers_, false) > 0) return;
    welcomed_ = true;
    for (std::uint32_t rank = 0; rank < test_.workers; ++rank) out.send(worker_node(rank), welcome());
  }

 private:
  [[nodiscard]] protocol::Welcome welcome() const {
    protocol::Welcome welcome;
    welcome.incarnation = welcome.generation = 1;
    welcome.manifest = test_.manifest();
    welcome.routing = {1, test_.slices(), servers_};
    for (std::uint32_t rank = 0; rank < test_.workers; ++rank) welcome.active.push_back({rank, 1, 0});
    return welcome;
  }
  void welcome_servers(protocol::Outbox& out) {
    for (std::uint32_t rank = 0; rank < test_.shards; ++rank) out.send(server_node(rank), welcome());
  }

  const Case& test_;
  std::vector<std::string> servers_;
  std::vector<bool> workers_;
  std::uint32_t ready_ = 0;
  bool welcomed_ = false;
};

// ---- processes --------------------------------------------------------------------------------------------

std::unique_ptr<protocol::Process> open(const Stage& stage, NodeId node) {
  log::open(node.name(), "warning");
  protocol::ProcessOptions options{.node = node, .job_id = stage.job_id, .run_dir = ""};
  // Figures of another lane, or of copies, under this one's name would be wrong.
  options.on_unshared = [node](const std::string& why) {
    fmt::print(stderr, "push_pull: --lane shm: {} cannot share memory: {}\n", node.name(), why);
    std::_Exit(1);
  };
  if (node.role == Role::kServer) {  // as the launcher's, though nobody else has it here
    options.held = ::memfd_create("rubato", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    options.held_first = server::HeldRoot::kBytes;
  }
  auto process = protocol::Process::open(stage.test.job(), options);
  RUBATO_CHECK(process.ok(), "{}", process.error().message);
  if (const auto held = (*process)->memory()->held(); !held.empty()) server::HeldRoot::lay(held, node.rank, 1);
  return std::move(*process);
}

protocol::Register registration(NodeId node) {
  protocol::Register details;
  details.nonce = node.rank + 1;
  details.pid = static_cast<std::uint32_t>(::getpid());
  details.host = "here";
  return details;
}

std::string scheduler_address(const Stage& stage) {
  Job job = stage.test.job();
  job.cluster.scheduler_port = stage.scheduler_port;
  return protocol::listen_address(job, stage.job_id, kSchedulerNode);
}

}  // namespace

int keep_door(const Stage& stage) {
  const auto process = open(stage, kSchedulerNode);
  RUBATO_CHECK(process->endpoint().listen(scheduler_address(stage)).ok());
  Doorman core(stage.test);
  process->node().host(core);
  return process->run();
}

int serve(const Stage& stage, std::uint32_t rank) {
  const NodeId self = server_node(rank);
  keep_to(stage.core_of(self));
  const auto process = open(stage, self);
  const Job job = stage.test.job();
  protocol::Register details = registration(self);
  details.address = process->endpoint().listen(protocol::listen_address(job, stage.job_id, self)).value();
  RUBATO_CHECK(process->node().connect(kSchedulerNode, scheduler_address(stage)).ok());
  std::unique_ptr<protocol::Core> shard;
  if (stage.test.has_rule())
    shard = std::make_unique<server::ShardCore>(self, job, details, protocol::Timing(), std::uint64_t{1} << 40,
                                                process->memory());
  else
    shard = std::make_unique<ReadingShard>(self, details, process->memory());
  process->node().host(*shard);
  return process->run();
}

int push(const Stage& stage, std::uint32_t rank, int results) {
  const NodeId self = worker_node(rank);
  keep_to(stage.core_of(self));  // and the threads that it starts
  const auto process = open(stage, self);
  RUBATO_CHECK(process->node().connect(kSchedulerNode, scheduler_address(stage)).ok());
  nlohmann::json rounds = nlohmann::json::array();
  std::optional<Limits> limits;
  if (rank == 0) limits.emplace(stage.test, stage.far_ends, process->memory());
  // Each server is counted once.
  const auto used = [&] { return usage_of(::getpid()) + (rank == 0 ? usage_of(stage.servers) : Usage()); };
  Usage before;
  const auto before_round = [&](const Pusher& pusher) {
    stage.barrier->wait();
    if (limits) {
      keep_to(stage.cores);
      limits->measure(pusher.gradients());
      limits->chill();
      keep_to(stage.core_of(self));
    }
    stage.barrier->wait();
    before = used();
  };
  const auto round_done = [&](TimeNs took, std::vector<TimeNs> trips) {
    Measured measured{.seconds = seconds(took), .used = used() - before};
    measured.set_trips(std::move(trips));
    rounds.push_back(measured.json());
  };
  PusherOptions options = stage.test.pusher;
  options.is_leaf = stage.test.in_bsp();
  Pusher pusher(self, registration(self), options, process->memory(),
                {.before_round = before_round, .round_done = round_done, .all_done = [&] { process->end(0, ""); }});
  process->node().host(pusher);
  const int code = process->run();
  nlohmann::json found = {{"rounds", std::move(rounds)}};
  if (limits) found["limits"] = limits->rounds();
  const std::string text = found.dump();
  RUBATO_CHECK(::pwrite(results, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  return code;
}

}  // namespace rubato::bench
