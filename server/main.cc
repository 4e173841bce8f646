// rubato-server: one server process. It hosts `cluster.shard_threads` shards, each a core of its own,
// behind one endpoint; a frame's header says which shard it is for. A single shard runs on the loop's
// thread, which saves two hand-overs a message; several run on a thread each.
#include <fcntl.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <vector>

#include "base/log.h"
#include "base/out_of_memory.h"
#include "base/processor.h"
#include "kernels/update_device.h"
#include "protocol/core_thread.h"
#include "protocol/member_options.h"
#include "server/held_root.h"
#include "server/shard_core.h"
#include "transport/shm/shared_memory.h"

namespace rubato::server {
namespace {

// Memory that somebody holds, so that it outlives this process.
struct HeldOptions {
  int descriptor = -1;       // of this life; empty
  std::vector<int> remains;  // of earlier ones, the newest first
};

Result<std::vector<Remains>> open_remains(const std::vector<int>& descriptors) {
  std::vector<Remains> remains;
  for (const int descriptor : descriptors) {
    struct stat status {};
    // A life that ended before it had sized its memory, or sealed that, has left nothing.
    if (::fstat(descriptor, &status) == 0 && status.st_size == 0) continue;
    if (const int seals = ::fcntl(descriptor, F_GET_SEALS); seals >= 0 && (seals & F_SEAL_SHRINK) == 0) continue;
    RUBATO_ASSIGN(transport::SharedMemory memory, transport::SharedMemory::map(transport::Descriptor(descriptor),
                                                                               transport::SharedMemory::Access::kRead));
    auto owner = std::make_shared<transport::SharedMemory>(std::move(memory));
    remains.push_back({owner, owner->bytes()});
  }
  return remains;
}

// One for each shard: a stream of its own. Null: the CPU.
Result<std::vector<std::unique_ptr<kernels::UpdateDevice>>> open_devices(const Job& job) {
  std::vector<std::unique_ptr<kernels::UpdateDevice>> devices;
  for (std::int64_t shard = 0; shard < job.cluster.shard_threads; ++shard) {
    RUBATO_ASSIGN(devices.emplace_back(), kernels::open_update_device(job.server.device));
  }
  if (devices.front() != nullptr) log::info("updates are computed on {}", devices.front()->description());
  return devices;
}

Result<int> start(const protocol::MemberOptions& options, const HeldOptions& held) {
  log::open(fmt::format("server-{}", options.rank), options.log_level);
  end_where_memory_ends();
  RUBATO_ASSIGN(const Job job, load_job(options.job_file));
  RUBATO_ASSIGN(const auto scheduler, protocol::parse_scheduler_address(options.scheduler));
  RUBATO_ASSIGN(auto devices, open_devices(job));
  const auto shards = static_cast<std::uint32_t>(job.cluster.shard_threads);
  const NodeId first = server_node(options.rank * shards);
  RUBATO_ASSIGN(auto process, protocol::Process::open(job, {.node = first,
                                                            .job_id = scheduler.job_id,
                                                            .run_dir = options.run_dir,
                                                            .lifeline = options.lifeline,
                                                            .held = held.descriptor,
                                                            .held_first = HeldRoot::kBytes}));
  if (const std::span<std::byte> memory = process->memory()->held(); !memory.empty())
    HeldRoot::lay(memory, first.rank, shards);
  RUBATO_ASSIGN(std::vector<Remains> remains, open_remains(held.remains));
  protocol::InitialWeights initial;
  if (!job.model.pretrained.empty()) {
    RUBATO_ASSIGN(initial, protocol::InitialWeights::open(options.run_dir, job_hash(job)));
  }
  protocol::Register details = protocol::registration(job);
  RUBATO_ASSIGN(details.address, process->endpoint().listen(protocol::listen_address(job, scheduler.job_id, first)));
  RUBATO_TRY(process->node().connect(kSchedulerNode, scheduler.address));
  std::vector<NodeId> members;
  for (std::uint32_t shard = 0; shard < shards; ++shard) members.push_back(server_node(first.rank + shard));
  if (job.train.record) RUBATO_TRY(process->record(members, {.job_hash = job_hash(job)}));
  std::vector<std::unique_ptr<protocol::Core>> cores;
  const std::uint64_t room = std::min(physical_memory_bytes(), address_limit_bytes());
  for (const NodeId member : members) {
    std::unique_ptr<protocol::Core> core =
        std::make_unique<ShardCore>(member, job, details, protocol::timing_of(job), room / shards, process->memory(),
                                    remains, initial, std::move(devices[member.rank - first.rank]));
    timeline::Timeline* drawn = process->timeline();
    if (shards > 1)
      core = std::make_unique<protocol::CoreThread>(std::move(core), process->loop(), process->node(),
                                                    drawn ? &drawn->add_lane(member.name()) : nullptr);
    cores.push_back(std::move(core));
    process->node().host(*cores.back());
  }
  initial = {};
  remains.clear();  // each shard lets go of them once it has taken over what is its own
  const int exit_code = process->run();
  cores.clear();  // with their threads
  process->write_timeline();
  return exit_code;
}

}  // namespace
}  // namespace rubato::server

int main(int argc, char** argv) {
  CLI::App app(
      "A Rubato server: holds slices of the weights and applies the workers' updates to them.\n"
      "scripts/rubato starts servers by itself; by hand, on another host of the same job:\n"
      "  rubato-server --job RUN/job.toml --run-dir RUN --scheduler tcp://10.0.0.1:4100#9f3ac2... --rank 1");
  rubato::protocol::MemberOptions options;
  rubato::protocol::add_member_options(app, options);
  rubato::server::HeldOptions held;
  app.add_option("--held", held.descriptor,
                 "an empty memfd, which outlives this process where somebody else has it too");
  app.add_option("--remains", held.remains, "such ones of earlier lives of this server, the newest first")
      ->delimiter(',');
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(rubato::Cause::kUsage);
  }
  const rubato::Result<int> exit_code = rubato::server::start(options, held);
  if (exit_code.ok()) return *exit_code;
  rubato::log::error("{}", exit_code.error().message);
  return exit_code.error().exit_code();
}
