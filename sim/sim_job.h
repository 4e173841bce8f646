// A whole job in one process and in virtual time: the same scheduler, shards, workers and evaluator as in
// real ones, each in a Node of its own over a simulated network.
//
// The same job, options and workload give the same run, to the byte of its trace.
//
// Thread-safety: belongs to one thread; jobs share nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/job.h"
#include "protocol/recorder.h"
#include "scheduler/scheduler_core.h"
#include "server/shard_core.h"
#include "sim/computer.h"
#include "sim/measured_shard.h"
#include "sim/sim_options.h"
#include "sim/sim_process.h"
#include "sim/sim_result.h"
#include "sim/step_times.h"
#include "sim/virtual_compute.h"
#include "worker/evaluator_client.h"
#include "worker/worker_client.h"

namespace rubato::sim {

class SimJob final : private protocol::NodeListener {
 public:
  // The job is valid, and so are its faults and changes. `workload` outlives this. Errors: those of StepTimes::open.
  [[nodiscard]] static Result<std::unique_ptr<SimJob>> open(const Job& job, SimOptions options, Workload& workload);
  ~SimJob() override;

  // Runs until everybody has ended, or until this virtual time. Once.
  [[nodiscard]] SimResult run(TimeNs max_time = kNever);

  // As a first Ctrl-C; from `between_events`.
  void drain();
  // The scheduler's status, now.
  [[nodiscard]] nlohmann::ordered_json status() const { return scheduler_->status(network_.now()); }
  [[nodiscard]] TimeNs now() const { return network_.now(); }

 private:
  // A process with its cores; those of the dead stay until the network has stopped.
  struct Member {
    std::uint32_t pid = 0;
    std::vector<NodeId> nodes;
    std::size_t ended = 0;  // of the nodes
    int exit_code = 0;      // the first of them that is not 0
    std::unique_ptr<protocol::Core> client;
    std::vector<std::unique_ptr<server::ShardCore>> shards;
    std::vector<std::unique_ptr<MeasuredShard>> measured;
    std::unique_ptr<VirtualCompute> compute;
    std::unique_ptr<SimProcess> process;
  };

  SimJob(const Job& job, SimOptions options, StepTimes times, Workload& workload);

  // sim_job.cc: who is in the job, and the run
  void add_scheduler();
  void add_server(std::uint32_t process, std::uint32_t threads);
  [[nodiscard]] std::shared_ptr<Memory> hold_memory(NodeId first, std::uint32_t threads);
  void add_worker(std::uint32_t rank);
  void add_evaluator();
  Member& add_member(std::vector<NodeId> nodes);
  template <typename Client>
  void add_client(NodeId self);
  template <typename Client>
  void give_orders(Member& member, Client& client);
  [[nodiscard]] protocol::Register registration(NodeId self, const Member& member) const;
  [[nodiscard]] TimeNs duration(const Member& member, const worker::ComputeOrder& order) const;
  void connect_and_start(Member& member);
  [[nodiscard]] bool recording() const { return !options_.record_dir.empty(); }
  [[nodiscard]] bool all_over() const;
  [[nodiscard]] SimResult take_result();

  // sim_faults.cc: what goes wrong, and what the launcher and people do about it, and else
  void schedule_faults();
  void schedule_changes();
  void happen(const Fault& fault);
  void go_on(Member& member);
  void exited(Member& member, int code, bool again = false);
  [[nodiscard]] bool may_restart(NodeId node, int code);
  void start_again(const Member& member);
  [[nodiscard]] Member& find(const std::string& host);
  void enter_scheduler(const std::function<void(TimeNs, protocol::Outbox&)>& call);

  void keep_record(NodeId node);
  void on_trace(TimeNs now, NodeId node, const protocol::TraceEvent& event) override;
  void on_note(NodeId node, protocol::Level level, const std::string& text) override;
  void on_end(NodeId node, int exit_code, const std::string& text) override;

  const Job job_;
  const SimOptions options_;
  const StepTimes times_;
  Workload& workload_;
  transport::SimNetwork network_;
  std::uint64_t processes_ = 0;
  std::unique_ptr<scheduler::SchedulerCore> scheduler_;
  std::vector<std::unique_ptr<Member>> members_;  // the newest of a host last
  std::map<NodeId, protocol::Recorder> recorders_;
  Status recorded_;
  std::map<std::uint32_t, std::int64_t> restarts_;  // of workers, by the launcher
  // Of servers that crash, by the first shard: the memory of all of their lives, the newest first.
  std::map<std::uint32_t, std::vector<std::shared_ptr<Memory>>> held_;
  std::size_t faults_left_ = 0;  // pauses that are to end count too
  SimResult result_;
};

}  // namespace rubato::sim
