// A whole job in one process and in virtual time: the same scheduler, shards, workers and evaluator as in
// real ones, each in a Node of its own over a simulated network.
//
// The same job, options and workload give the same run, to the byte of its trace.
//
// Thread-safety: belongs to one thread; jobs share nothing.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/job.h"
#include "protocol/recorder.h"
#include "scheduler/scheduler_core.h"
#include "server/shard_core.h"
#include "sim/computer.h"
#include "sim/sim_options.h"
#include "sim/sim_process.h"
#include "sim/sim_result.h"
#include "sim/virtual_compute.h"
#include "worker/evaluator_client.h"
#include "worker/worker_client.h"

namespace rubato::sim {

class SimJob final : private protocol::NodeListener {
 public:
  // The job is valid. `workload` outlives this.
  SimJob(const Job& job, SimOptions options, Workload& workload);
  ~SimJob() override;

  // Runs until everybody has ended, or until this virtual time. Once.
  [[nodiscard]] SimResult run(TimeNs max_time);

  [[nodiscard]] const scheduler::SchedulerCore& scheduler() const { return *scheduler_; }

 private:
  // A process with its cores; those of the dead stay until the network has stopped.
  struct Member {
    std::vector<NodeId> nodes;
    std::size_t ended = 0;  // of the nodes
    int exit_code = 0;      // the first of them that is not 0
    std::unique_ptr<protocol::Core> client;
    std::vector<std::unique_ptr<server::ShardCore>> shards;
    std::unique_ptr<VirtualCompute> compute;
    RandomStream random{0};
    std::unique_ptr<SimProcess> process;
  };

  void add_scheduler();
  void add_server(std::uint32_t process, std::uint32_t threads);
  void add_worker(std::uint32_t rank);
  void add_evaluator();
  Member& add_member(std::vector<NodeId> nodes);
  template <typename Client>
  void add_client(NodeId self, std::unique_ptr<Client> client);
  template <typename Client>
  void give_orders(Member& member, Client& client);
  [[nodiscard]] protocol::Register registration(NodeId self, const std::string& host);
  [[nodiscard]] TimeNs duration(Member& member, const worker::ComputeOrder& order);
  void keep_snapshot(const worker::EvaluateWeights& read, const protocol::RoutingTable& routing);

  void connect_and_start(Member& member);
  void happen(const Fault& fault);
  void exited(Member& member, int code);
  [[nodiscard]] bool recording() const { return !options_.record_dir.empty(); }
  [[nodiscard]] bool all_over() const;
  [[nodiscard]] Member* find(const std::string& host);
  void enter_scheduler(const std::function<void(TimeNs, protocol::Outbox&)>& call);

  void keep_record(NodeId node);
  void on_trace(TimeNs now, NodeId node, const protocol::TraceEvent& event) override;
  void on_note(NodeId node, protocol::Level level, const std::string& text) override;
  void on_end(NodeId node, int exit_code, const std::string& text) override;

  const Job job_;
  const SimOptions options_;
  Workload& workload_;
  transport::SimNetwork network_;
  std::uint64_t processes_ = 0;
  std::unique_ptr<scheduler::SchedulerCore> scheduler_;
  std::vector<std::unique_ptr<Member>> members_;  // the newest of a host last
  std::map<NodeId, protocol::Recorder> recorders_;
  Status recorded_;
  std::size_t faults_left_ = 0;
  SimResult result_;
};

}  // namespace rubato::sim
