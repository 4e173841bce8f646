// What a process asks of its limit on file descriptors before it takes any.
#include "protocol/descriptor_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>

namespace rubato::protocol {
namespace {

Job job_over(const std::string& transport) {
  Job job;
  job.cluster.transport = transport;
  job.cluster.servers = 2;
  job.cluster.workers = 3;
  job.cluster.shard_threads = 4;
  return job;
}

TEST(DescriptorLimit, GrowsWithWhoTalksToWhom) {
  for (const auto& [transport, of_a_shard] : {std::pair("tcp", 1u), std::pair("ipc", 2u)}) {
    const Job job = job_over(transport);
    Job more_workers = job, more_servers = job;
    more_workers.cluster.workers += 10;
    more_servers.cluster.servers += 10;
    const auto grows = [&](NodeId node, const Job& to) {
      return descriptors_needed(to, node) - descriptors_needed(job, node);
    };
    EXPECT_EQ(grows(kSchedulerNode, more_workers), 10u);
    EXPECT_EQ(grows(kSchedulerNode, more_servers), 10u);
    EXPECT_EQ(grows(server_node(0), more_workers), 10u * 4) << "each worker is connected to each shard";
    EXPECT_EQ(grows(server_node(0), more_servers), 0u);
    EXPECT_EQ(grows(worker_node(0), more_workers), 0u);
    EXPECT_EQ(grows(worker_node(0), more_servers), 10u * 4 * of_a_shard);
  }
}

// In a process of its own: a limit that was lowered stays so.
[[noreturn]] void check_with(rlim_t limit) {
  const rlimit few{limit, limit};
  ::setrlimit(RLIMIT_NOFILE, &few);
  const Status checked = check_descriptors(job_over("ipc"), kSchedulerNode);
  if (checked.ok()) std::exit(0);
  std::fputs(checked.error().message.c_str(), stderr);
  std::exit(checked.error().exit_code());
}

TEST(DescriptorLimitDeathTest, SaysWhatIsNeededWhatThereIsAndWhatToDo) {
  const auto needed = descriptors_needed(job_over("ipc"), kSchedulerNode);
  EXPECT_EXIT(check_with(needed), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      check_with(needed - 1), testing::ExitedWithCode(2),
      "scheduler needs [0-9]+ file descriptors in this job and may have [0-9]+: raise the limit .ulimit -n., or "
      "take fewer workers or servers");
}

}  // namespace
}  // namespace rubato::protocol
