// rubato-server: one server process. It hosts `cluster.shard_threads` shards, each a core of its own,
// behind one endpoint; a frame's header says which shard it is for. A single shard runs on the loop's
// thread, which saves two hand-overs a message; several run on a thread each.
#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "base/log.h"
#include "base/processor.h"
#include "protocol/core_thread.h"
#include "protocol/member_options.h"
#include "server/shard_core.h"

namespace rubato::server {
namespace {

Result<int> start(const protocol::MemberOptions& options) {
  log::open(fmt::format("server-{}", options.rank), options.log_level);
  RUBATO_ASSIGN(const Job job, load_job(options.job_file));
  RUBATO_ASSIGN(const auto scheduler, protocol::parse_scheduler_address(options.scheduler));
  const auto shards = static_cast<std::uint32_t>(job.cluster.shard_threads);
  const NodeId first = server_node(options.rank * shards);
  RUBATO_ASSIGN(auto process,
                protocol::Process::open(job, {first, scheduler.job_id, options.run_dir, options.lifeline}));
  protocol::Register details = protocol::registration(job);
  RUBATO_ASSIGN(details.address, process->endpoint().listen(protocol::listen_address(job, scheduler.job_id, first)));
  RUBATO_TRY(process->node().connect(kSchedulerNode, scheduler.address));
  std::vector<NodeId> members;
  for (std::uint32_t shard = 0; shard < shards; ++shard) members.push_back(server_node(first.rank + shard));
  if (job.train.record) RUBATO_TRY(process->record(members, {.job_hash = job_hash(job)}));
  std::vector<std::unique_ptr<protocol::Core>> cores;
  for (const NodeId member : members) {
    std::unique_ptr<protocol::Core> core = std::make_unique<ShardCore>(
        member, job, details, protocol::timing_of(job), physical_memory_bytes() / shards, process->memory());
    timeline::Timeline* drawn = process->timeline();
    if (shards > 1)
      core = std::make_unique<protocol::CoreThread>(std::move(core), process->loop(), process->node(),
                                                    drawn ? &drawn->add_lane(member.name()) : nullptr);
    cores.push_back(std::move(core));
    process->node().host(*cores.back());
  }
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(rubato::Cause::kUsage);
  }
  const rubato::Result<int> exit_code = rubato::server::start(options);
  if (exit_code.ok()) return *exit_code;
  rubato::log::error("{}", exit_code.error().message);
  return exit_code.error().exit_code();
}
