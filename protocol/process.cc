#include "protocol/process.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/life_file.h"
#include "base/log.h"
#include "base/processor.h"
#include "protocol/body_limit.h"
#include "protocol/descriptor_limit.h"
#include "protocol/narrow_floats.h"
#include "transport/allocator.h"
#include "transport/shm/shared_heap.h"
#include "transport/shm/shm_endpoint.h"
#include "transport/tcp/tcp_endpoint.h"
#include "transport/two_lanes.h"
#include "transport/zmq/zmq_endpoint.h"

namespace rubato::protocol {
namespace {

// `timeout` signals a process and then its group: what comes so soon is the same signal.
constexpr TimeNs kSameSignal = 100 * kMillisecond;

// Over ipc, of each peer about so many bytes may have come and wait for the loop. Small frames have a bound too:
// they take more room than their bytes.
int waiting_frames_max(const Job& job) {
  constexpr std::int64_t kWaitingBytes = 64 << 20, kFramesMin = 8, kFramesMax = 4096;
  return static_cast<int>(std::clamp(kWaitingBytes / job.cluster.slice_bytes, kFramesMin, kFramesMax));
}

// Each reader of weights has a connection to each shard of a process (protocol/descriptor_limit.h); twice as many, for
// those of lives before.
int known_peers_max(const Job& job) {
  const std::int64_t readers = job.cluster.workers + job.cluster.servers + 2;
  return static_cast<int>(std::max(2 * readers * job.cluster.shard_threads, std::int64_t{1} << 14));
}

// Of connections refused for what they announce: strangers come without end.
constexpr int kObjectionsSaid = 64;

// For an answer over shared memory, where looking for it pays: less than it takes to be woken.
constexpr TimeNs kLookAgain = 50 * kMicrosecond;

// The scheduler takes no part in pushing and pulling.
bool shares_memory(const Job& job, NodeId node) { return job.cluster.shared_memory && node.role != Role::kScheduler; }

// A write that fails is an error, which says more than a signal that ends the process: of a file beyond its limit, or
// into something that nobody reads.
void arrange_with_the_system() {
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

std::string SchedulerAddress::text() const { return fmt::format("{}#{:016x}", address, job_id); }

Result<SchedulerAddress> parse_scheduler_address(const std::string& text) {
  const std::size_t at = text.rfind('#');
  SchedulerAddress parsed;
  char* end = nullptr;
  if (at != std::string::npos) {
    parsed.address = text.substr(0, at);
    parsed.job_id = std::strtoull(text.c_str() + at + 1, &end, 16);
  }
  if (at == std::string::npos || at == 0 || text.size() - at != 17 || *end != '\0')
    return Error{Cause::kUsage,
                 fmt::format("\"{}\" is no scheduler address: expected ADDRESS#JOB as in the \"endpoint\" "
                             "of the run directory's scheduler.json",
                             text)};
  return parsed;
}

std::string listen_address(const Job& job, std::uint64_t job_id, NodeId node) {
  // Names in Linux's abstract namespace: no file, so nothing is left behind, whoever is killed.
  const std::string name = fmt::format("rubato-{:016x}-{}", job_id, node.name());
  const bool scheduler = node.role == Role::kScheduler;
  const std::string near = shares_memory(job, node) ? fmt::format(";shm://{}", name) : "";
  if (job.cluster.transport == "tcp")
    return fmt::format("tcp://{}:{}{}", job.cluster.bind, scheduler ? job.cluster.scheduler_port : 0, near);
  return fmt::format("ipc://@{}{}", name, near);
}

Status Process::open_endpoint(const Job& job) {
  if (job.cluster.transport == "tcp") {
    endpoint_ = transport::make_tcp_endpoint(
        loop_, {.check = [limit = BodyLimit(job, options_.job_id)](
                             const auto& header, std::uint64_t bytes) { return limit.check(header, bytes); },
                .on_objection =
                    [said = 0](const Error& why) mutable {
                      if (++said <= kObjectionsSaid) log::warn("refused a connection: {}", why.message);
                    }});
  } else {
    RUBATO_ASSIGN(endpoint_, transport::make_zmq_endpoint(loop_, {.waiting_frames_max = waiting_frames_max(job),
                                                                  .known_peers_max = known_peers_max(job)}));
  }
  const std::shared_ptr<transport::SharedHeap> heap = open_heap(job);
  memory_ = heap;
  if (heap == nullptr) memory_ = std::make_shared<PrivateMemory>();
  if (!shares_memory(job, options_.node)) return {};
  RUBATO_ASSIGN(auto near, transport::make_shm_endpoint(loop_, {.heap = heap, .spin = kLookAgain}));
  endpoint_ = transport::make_two_lane_endpoint(
      {.near = std::move(near),
       .far = std::move(endpoint_),
       .reachable = transport::shm_reachable,
       .on_fallback =
           [this](const std::string& why) {
             log::info("{}", why);
             if (options_.on_unshared) options_.on_unshared(why);
           },
       .on_break =
           [this](const std::string& why) {
             log::warn("{}", why);
             if (options_.on_unshared) options_.on_unshared(why);
           },
       .on_stranded = [this](const Error& why) { end(why.exit_code(), why.message); }});
  return {};
}

// Null, where memory is this process's alone.
std::shared_ptr<transport::SharedHeap> Process::open_heap(const Job& job) const {
  const bool shared = shares_memory(job, options_.node);
  const auto on_private = [shared, heed = options_.on_unshared](const Error& why) {
    if (!shared) return;
    log::warn("some gradients or weights are copied from process to process: {}", why.message);
    if (heed) heed(why.message);
  };
  if (options_.held >= 0) {
    // More than that cannot be filled, and what is not filled takes nothing.
    auto held = transport::SharedMemory::adopt(transport::Descriptor(options_.held), physical_memory_bytes());
    if (held.ok())
      return std::make_shared<transport::SharedHeap>(std::move(held).value(), options_.held_first, on_private);
    log::info("nothing outlives this process: {}", held.error().message);
  }
  if (!shared) return nullptr;
  if (const Status may = transport::can_share_memory(); !may.ok()) {
    log::warn("gradients and weights are copied from process to process: {}", may.error().message);
    if (options_.on_unshared) options_.on_unshared(may.error().message);
    return nullptr;
  }
  return std::make_shared<transport::SharedHeap>(on_private);
}

Result<std::unique_ptr<Process>> Process::open(const Job& job, const ProcessOptions& options) {
  transport::tune_allocator();
  arrange_with_the_system();
  RUBATO_TRY(check_descriptors(job, options.node));
  std::unique_ptr<Process> process(new Process(options));
  RUBATO_TRY(process->open_endpoint(job));
  if (job.debug.trace) {
    RUBATO_ASSIGN(const LifeFile file, create_life_file(options.run_dir + "/trace", options.node.name(), "jsonl"));
    process->trace_.reset(::fdopen(file.descriptor, "w"));
  }
  Process* self = process.get();
  process->timer_.emplace(process->loop_, [self] { self->node_->wake(); });
  const Environment environment{[] { return steady_now(); }, [self](TimeNs at) { self->timer_->arm(at); }};
  if (job.train.timeline > 0 && options.node.role != Role::kEvaluator)
    process->timeline_.emplace(timeline::window_of(job));
  // Between processes of one host bytes are copied by the kernel, not carried over a wire.
  const NodeOptions node_options{.tracing = job.debug.trace || job.train.record,
                                 .hashing = job.train.record,
                                 .checksum_bodies = job.cluster.transport != "ipc",
                                 .wire = wire_of(job),
                                 .lane = process->timeline_ ? &process->timeline_->add_lane("loop") : nullptr};
  process->node_ = std::make_unique<Node>(*process->endpoint_, options.job_id, environment, *process, node_options);
  RUBATO_TRY(process->loop_.on_signal([self](int number) { self->heed_signal(number); }));
  if (options.lifeline >= 0)
    RUBATO_TRY(process->loop_.on_hangup(options.lifeline, [self] {
      if (self->orphaned_) return self->orphaned_();
      self->end(static_cast<int>(Cause::kPeerLost), "the launcher is gone, so this process ends too");
    }));
  return process;
}

Process::~Process() = default;

Status Process::record(const std::vector<NodeId>& members, const RecordOrigin& origin) {
  for (const NodeId member : members) {
    RUBATO_ASSIGN(Recorder recorder, Recorder::create(options_.run_dir + "/record", member, origin));
    recorders_.emplace(member, std::move(recorder));
  }
  return {};
}

// The job has come to its end: it does not fail for a picture.
void Process::write_timeline() {
  if (!timeline_) return;
  if (const Status written = timeline_->write(options_.run_dir, options_.node); !written.ok())
    log::warn("{}", written.error().message);
}

void Process::meanwhile(const std::function<void()>& work) {
  std::thread thread([&] {
    work();
    loop_.post([this] { loop_.stop(); });
  });
  loop_.run();
  if (exit_code_) std::_Exit(*exit_code_);  // the thread cannot be told to stop, and is not waited for
  thread.join();
}

int Process::run() {
  node_->start();
  if (!exit_code_) loop_.run();
  Status flushed;
  for (auto& [member, recorder] : recorders_)
    if (flushed.ok()) flushed = recorder.flush();
  if (!flushed.ok()) cannot_record(flushed.error());
  return exit_code_.value_or(static_cast<int>(Cause::kInternal));
}

void Process::end(int exit_code, const std::string& text) {
  if (exit_code_) return;
  exit_code_ = exit_code;
  if (exit_code != 0 && !text.empty()) log::error("{}", text);
  loop_.stop();
}

void Process::heed_signal(int number) {
  const TimeNs now = steady_now();
  const bool again = told_to_stop_.has_value();
  if (again && now - *told_to_stop_ < kSameSignal) return;
  told_to_stop_ = now;
  if (stop_signal_) return stop_signal_(again);
  const char* name = number == SIGINT ? "SIGINT" : "SIGTERM";
  if (again || !node_->joined())
    return end(static_cast<int>(Cause::kInterrupted), fmt::format("told to stop by {}", name));
  log::warn("told to stop by {}: the scheduler decides when the job ends; a second signal ends this process", name);
}

void Process::cannot_record(const Error& error) {
  recorders_.clear();
  if (exit_code_.value_or(0) != 0) return;
  exit_code_.reset();  // should it have ended well, but for this
  end(error.exit_code(), error.message);
}

void Process::on_trace(TimeNs now, NodeId node, const TraceEvent& event) {
  if (const auto recorder = recorders_.find(node); recorder != recorders_.end())
    if (const Status recorded = recorder->second.record(now, event); !recorded.ok()) cannot_record(recorded.error());
  if (!trace_) return;
  const std::string line = trace_line(now, node, event);
  std::fprintf(trace_.get(), "%s\n", line.c_str());
  std::fflush(trace_.get());  // a killed process loses nothing that others have seen
}

void Process::on_note(NodeId /*node*/, Level level, const std::string& text) {
  switch (level) {
    case Level::kDebug:
      log::debug("{}", text);
      break;
    case Level::kInfo:
      log::info("{}", text);
      break;
    case Level::kWarning:
      log::warn("{}", text);
      break;
    case Level::kError:
      log::error("{}", text);
      break;
  }
}

void Process::on_end(NodeId /*node*/, int exit_code, const std::string& text) {
  if (before_end_ && before_end_()) {
    if (!exit_code_ && exit_code != 0) log::debug("ending with code {}: {}", exit_code, text);
    return;
  }
  end(exit_code, text);
}

}  // namespace rubato::protocol
