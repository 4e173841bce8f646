#include "protocol/descriptor_limit.h"

#include <fmt/format.h>
#include <sys/resource.h>

namespace rubato::protocol {
namespace {

// Counted in running jobs (ls /proc/PID/fd): standard streams, loop, timers, signals, log, lifeline, sockets that
// listen. libzmq takes eight more for its threads, mailboxes and monitor.
constexpr std::uint64_t kScheduler = 13, kServer = 13, kReader = 12, kZmq = 9;
// Files that are open for a moment, and people who ask for the status.
constexpr std::uint64_t kSpare = 4;

}  // namespace

std::uint64_t descriptors_needed(const Job& job, NodeId node) {
  const auto servers = static_cast<std::uint64_t>(job.cluster.servers);
  const auto threads = static_cast<std::uint64_t>(job.cluster.shard_threads);
  const std::uint64_t readers = static_cast<std::uint64_t>(job.cluster.workers) + 1;  // and the evaluator
  const bool ipc = job.cluster.transport != "tcp";
  std::uint64_t needed = kSpare + (ipc ? kZmq : 0) + (job.debug.trace ? 1 : 0);
  switch (node.role) {
    case Role::kScheduler:
      return needed + kScheduler + servers + readers;
    case Role::kServer:  // a connection of each reader to each of its shards
      needed += kServer + readers * threads;
      return needed + (job.train.record ? threads : 0);
    case Role::kWorker:
    case Role::kEvaluator:  // libzmq's connections have a mailbox each
      needed += kReader + servers * threads * (ipc ? 2 : 1);
      return needed + (job.train.record ? 1 : 0);
  }
  return needed;
}

Status check_descriptors(const Job& job, NodeId node) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const std::uint64_t needed = descriptors_needed(job, node);
  if (limit.rlim_cur == RLIM_INFINITY || needed <= limit.rlim_cur) return {};
  return Error{Cause::kUsage, fmt::format("{} needs {} file descriptors in this job and may have {}: raise the limit "
                                          "(ulimit -n), or take fewer workers or servers",
                                          node.name(), needed, limit.rlim_cur)};
}

}  // namespace rubato::protocol
