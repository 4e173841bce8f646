// What every Rubato program does around its cores: one loop thread, one endpoint, a Node, traces,
// records and notes written down, and an end when a core ends, the launcher dies, or somebody insists on it.
//
// SIGINT and SIGTERM: the first is a wish, which a member that is in a job leaves to its scheduler; the second
// ends the process (docs/decisions/the-first-signal-is-a-wish.md).
//
// Thread-safety: run() and everything else on the main thread; loop().post() from any.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/memory.h"
#include "base/timeline.h"
#include "protocol/node.h"
#include "protocol/recorder.h"
#include "transport/loop.h"

namespace rubato::transport {
class SharedHeap;
}

namespace rubato::protocol {

// "ADDRESS#JOB": where the scheduler listens, and the 16 hex digits of the job's id, which every frame
// carries. One word on a command line.
struct SchedulerAddress {
  std::string address;
  std::uint64_t job_id = 0;
  [[nodiscard]] std::string text() const;
};
[[nodiscard]] Result<SchedulerAddress> parse_scheduler_address(const std::string& text);

// Where a member listens, before the system has picked a port: a socket, and for servers shared memory too.
[[nodiscard]] std::string listen_address(const Job& job, std::uint64_t job_id, NodeId node);

struct ProcessOptions {
  NodeId node;  // names log and trace; the first of several cores
  std::uint64_t job_id = 0;
  std::string run_dir;
  int lifeline = -1;  // a pipe whose other end only the launcher holds
  // An empty memfd that the launcher holds too: memory() lies there, behind so many bytes of somebody else's. -1: none.
  int held = -1;
  std::size_t held_first = 0;
  // Told why, on any thread, where the job asks for shared memory and something goes another way, or is copied.
  std::function<void(const std::string& why)> on_unshared = nullptr;
};

class Process final : public NodeListener {
 public:
  // Errors: kNetwork, kStorage, kUsage.
  [[nodiscard]] static Result<std::unique_ptr<Process>> open(const Job& job, const ProcessOptions& options);
  ~Process() override;

  [[nodiscard]] transport::Loop& loop() { return loop_; }
  [[nodiscard]] transport::Endpoint& endpoint() { return *endpoint_; }
  [[nodiscard]] Node& node() { return *node_; }
  // Where its threads draw what they do, if the job asks for that; null: nowhere.
  [[nodiscard]] timeline::Timeline* timeline() { return timeline_ ? &*timeline_ : nullptr; }
  // Where what is sent had better lie: others of this host read it there, if the job shares memory. And where lies
  // what is to outlive this process, if somebody holds it.
  [[nodiscard]] const std::shared_ptr<Memory>& memory() const { return memory_; }

  // From now on these members, which are hosted here, keep their records in RUN/record. Before run().
  // Errors: kStorage.
  [[nodiscard]] Status record(const std::vector<NodeId>& members, const RecordOrigin& origin);

  // Called for SIGINT and SIGTERM instead of what a member does; `again`: it is not the first.
  void on_stop_signal(std::function<void(bool again)> handler) { stop_signal_ = std::move(handler); }
  // Called when the launcher is gone, instead of ending with kPeerLost.
  void on_orphaned(std::function<void()> handler) { orphaned_ = std::move(handler); }
  // A core ended: called before the loop stops. True keeps it running; end() stops it later.
  void before_end(std::function<bool()> handler) { before_end_ = std::move(handler); }
  void end(int exit_code, const std::string& text);

  // Does `work` on a thread of its own, while signals and the launcher's end are heeded already; returns when it is
  // done. Where one of them ends the process, it ends here, in the middle of the work: `work` only reads, and nobody
  // relies on it yet. Before run().
  void meanwhile(const std::function<void()>& work);

  // Writes the timeline, if there is one. After run(), when all threads that draw on it have ended.
  void write_timeline();

  // Starts the cores and runs until the end. Returns the exit code.
  [[nodiscard]] int run();

 private:
  explicit Process(const ProcessOptions& options) : options_(options) {}
  [[nodiscard]] Status open_endpoint(const Job& job);
  [[nodiscard]] std::shared_ptr<transport::SharedHeap> open_heap(const Job& job) const;
  void heed_signal(int number);
  void cannot_record(const Error& error);
  void on_trace(TimeNs now, NodeId node, const TraceEvent& event) override;
  void on_note(NodeId node, Level level, const std::string& text) override;
  void on_end(NodeId node, int exit_code, const std::string& text) override;

  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  const ProcessOptions options_;
  transport::Loop loop_;
  std::shared_ptr<Memory> memory_;
  std::unique_ptr<transport::Endpoint> endpoint_;
  std::optional<transport::Timer> timer_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<std::FILE, CloseFile> trace_;
  std::function<void(bool)> stop_signal_;
  std::function<void()> orphaned_;
  std::optional<TimeNs> told_to_stop_;
  std::map<NodeId, Recorder> recorders_;
  std::optional<timeline::Timeline> timeline_;
  std::function<bool()> before_end_;
  std::optional<int> exit_code_;
};

}  // namespace rubato::protocol
