#include "sim/sim_job.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/processor.h"
#include "protocol/narrow_floats.h"
#include "scheduler/json_text.h"
#include "server/held_root.h"
#include "sim/held_arena.h"
#include "sim/read_snapshot.h"

namespace rubato::sim {

using protocol::Outbox;

namespace {

constexpr std::uint64_t kJobId = 0x5349'4D4A'4F42;
// After the end of a job the scheduler answers latecomers for so long, as its program does.
constexpr TimeNs kGoodbye = 500 * kMillisecond;
// Sparse: more than a simulated shard's slots will ever take.
constexpr std::size_t kHeldBytes = std::size_t{16} << 30;

}  // namespace

Result<std::unique_ptr<SimJob>> SimJob::open(const Job& job, SimOptions options, Workload& workload) {
  RUBATO_ASSIGN(StepTimes times, StepTimes::open(job));
  return std::unique_ptr<SimJob>(new SimJob(job, std::move(options), std::move(times), workload));
}

SimJob::SimJob(const Job& job, SimOptions options, StepTimes times, Workload& workload)
    : job_(job), options_(std::move(options)), times_(std::move(times)), workload_(workload), network_(options_.seed) {
  network_.set_default_link(options_.link);
  for (const SimOptions::Link& link : options_.links) network_.set_link(link.from, link.to, link.model);
  add_scheduler();
  for (std::uint32_t process = 0; process < job_.cluster.servers; ++process)
    add_server(process, static_cast<std::uint32_t>(job_.cluster.shard_threads));
  for (std::uint32_t rank = 0; rank < job_.cluster.workers; ++rank) add_worker(rank);
  add_evaluator();
}

SimJob::~SimJob() = default;

// ---- members ----------------------------------------------------------------------------------------

SimJob::Member& SimJob::add_member(std::vector<NodeId> nodes) {
  Member& member = *members_.emplace_back(std::make_unique<Member>());
  const std::string host = nodes.front().name();
  member.nodes = std::move(nodes);
  member.pid = static_cast<std::uint32_t>(1000 + ++processes_);
  member.process = std::make_unique<SimProcess>(network_, host, kJobId, static_cast<NodeListener&>(*this),
                                                // Nothing in this network damages bytes.
                                                protocol::NodeOptions{.tracing = options_.trace || recording(),
                                                                      .hashing = recording(),
                                                                      .checksum_bodies = false,
                                                                      .wire = protocol::wire_of(job_)});
  if (recording())
    for (const NodeId node : member.nodes) keep_record(node);
  return member;
}

void SimJob::add_scheduler() {
  scheduler_ = std::make_unique<scheduler::SchedulerCore>(job_, options_.timing);
  Member& member = add_member({kSchedulerNode});
  member.process->node().host(*scheduler_, [this, &member](TimeNs) {
    scheduler_->set_refused_frames(member.process->node().refused());
    for (const auto& line : scheduler_->take_metrics()) {
      if (options_.metric) options_.metric(line);
      result_.metrics.push_back(scheduler::json_text(line));
    }
  });
}

void SimJob::add_server(std::uint32_t process, std::uint32_t threads) {
  std::vector<NodeId> nodes;
  for (std::uint32_t thread = 0; thread < threads; ++thread) nodes.push_back(server_node(process * threads + thread));
  Member& member = add_member(nodes);
  std::vector<server::Remains> remains;
  for (const auto& memory : held_[nodes.front().rank]) remains.push_back({memory, memory->held()});
  const std::shared_ptr<Memory> memory = hold_memory(nodes.front(), threads);
  for (const NodeId node : nodes) {
    member.shards.push_back(std::make_unique<server::ShardCore>(
        node, job_, registration(node, member), options_.timing,
        physical_memory_bytes() / static_cast<std::uint64_t>(job_.cluster.servers * threads), memory, remains,
        workload_.initial_weights()));
    server::ShardCore& shard = *member.shards.back();
    if (options_.profile == nullptr) {
      member.process->node().host(shard);
    } else {
      member.measured.push_back(std::make_unique<MeasuredShard>(shard, *options_.profile));
      member.process->node().host(*member.measured.back());
    }
  }
}

// For a life of a server, if it is one that crashes; else it needs none.
std::shared_ptr<Memory> SimJob::hold_memory(NodeId first, std::uint32_t threads) {
  const bool crashes = std::ranges::any_of(options_.faults, [&](const Fault& fault) {
    return fault.kind == Fault::Kind::kCrash && fault.member == first.name();
  });
  if (!crashes) return nullptr;
  const auto memory = std::make_shared<HeldArena>(kHeldBytes, server::HeldRoot::kBytes);
  server::HeldRoot::lay(memory->held(), first.rank, threads);
  auto& lives = held_[first.rank];
  lives.insert(lives.begin(), memory);
  return memory;
}

void SimJob::add_worker(std::uint32_t rank) { add_client<worker::WorkerClient>(worker_node(rank)); }

void SimJob::add_evaluator() { add_client<worker::EvaluatorClient>(evaluator_node(0)); }

template <typename Client>
void SimJob::add_client(NodeId self) {
  Member& member = add_member({self});
  auto client = std::make_unique<Client>(self, registration(self, member), options_.timing);
  Client& core = *client;
  member.client = std::move(client);
  member.process->node().host(core, [this, &member, &core](TimeNs) { give_orders(member, core); });
}

template <typename Client>
void SimJob::give_orders(Member& member, Client& client) {
  std::vector<worker::ComputeOrder> orders;
  client.hand_orders([&](worker::ComputeOrder order) { orders.push_back(std::move(order)); });
  if (orders.empty()) return;
  if (!member.compute) {
    const NodeId self = member.nodes.front();
    auto computer = workload_.make_computer(self);
    computer->set_routing(client.routing());
    member.compute = std::make_unique<VirtualCompute>(
        *member.process, std::move(computer), client.routing().slices.size(), options_.profile,
        [this, &member](const worker::ComputeOrder& order) { return duration(member, order); },
        [&member, &client](worker::ComputeReport report) {
          member.process->node().enter(client,
                                       [&](TimeNs now, Outbox& out) { client.report(now, std::move(report), out); });
        });
  }
  for (const worker::ComputeOrder& order : orders) {
    const auto* read = std::get_if<worker::EvaluateWeights>(&order);
    if (read == nullptr || !options_.keep_snapshots) continue;
    result_.snapshots.push_back(read_snapshot(*read, workload_.manifest(), client.routing()));
    if (read->order.final) result_.final_weights = result_.snapshots.back().weights;
  }
  member.compute->take(std::move(orders));
}

protocol::Register SimJob::registration(NodeId self, const Member& member) const {
  protocol::Register message;
  message.nonce = stream_key(options_.seed, "nonce " + self.name(), member.pid);
  message.pid = member.pid;
  message.host = "sim";
  message.address = SimProcess::address(member.process->host());
  message.job_hash = job_hash(job_);
  if (self.role == Role::kServer) return message;
  message.data_fingerprint = workload_.data_fingerprint();
  message.train_samples = workload_.train_samples();
  message.manifest = workload_.manifest();
  return message;
}

TimeNs SimJob::duration(const Member& member, const worker::ComputeOrder& order) const {
  const auto* step = std::get_if<worker::ComputeStep>(&order);
  return step == nullptr ? times_.evaluation() : times_.step(member.nodes.front().rank, step->step);
}

// ---- the run ----------------------------------------------------------------------------------------

void SimJob::connect_and_start(Member& member) {
  if (member.nodes.front() != kSchedulerNode) {
    const Status connected = member.process->node().connect(kSchedulerNode, SimProcess::address("scheduler"));
    RUBATO_CHECK(connected.ok(), "{}", connected.error().message);
  }
  member.process->node().start();
}

SimResult SimJob::run(TimeNs max_time) {
  schedule_faults();
  schedule_changes();
  for (const auto& member : members_)
    if (member->process->alive()) connect_and_start(*member);
  while (!all_over() && recorded_.ok() && network_.next_event() <= max_time && network_.step())
    if (options_.between_events) options_.between_events();
  return take_result();
}

SimResult SimJob::take_result() {
  result_.over = all_over();
  if (!result_.over) result_.unfinished = scheduler::json_text(scheduler_->status(network_.now()), 2);
  result_.time = network_.now();
  result_.network = network_.counters();
  std::map<NodeId, protocol::ShardCounters> shards;  // of its newest life that has any slices
  for (const auto& member : members_)
    for (const auto& shard : member->shards)
      if (const auto counters = shard->counters(); counters.slices > 0 || !shards.contains(shard->identity().node))
        shards[shard->identity().node] = counters;
  for (const auto& [node, counters] : shards) result_.shards.push_back(counters);
  if (const auto end = result_.ends.find(kSchedulerNode); end != result_.ends.end()) {
    result_.exit_code = end->second.exit_code;
    result_.text = end->second.text;
  } else if (!result_.ends.empty()) {
    const auto first = std::ranges::min_element(result_.ends, {}, [](const auto& entry) { return entry.second.at; });
    result_.exit_code = first->second.exit_code;
    result_.text = first->second.text;
  }
  for (auto& [node, recorder] : recorders_)
    if (recorded_.ok()) recorded_ = recorder.flush();
  if (!recorded_.ok()) {
    result_.exit_code = recorded_.error().exit_code();
    result_.text = recorded_.error().message;
  }
  return std::move(result_);
}

bool SimJob::all_over() const {
  return std::ranges::all_of(members_, [&](const auto& member) {
    return !member->process->alive() || (member->process->paused() && faults_left_ == 0);
  });
}

// Of those who have something to say in it.
void SimJob::keep_record(NodeId node) {
  if (node.role != Role::kServer && node.role != Role::kWorker) return;
  protocol::RecordOrigin origin{.job_hash = job_hash(job_)};
  if (node.role == Role::kWorker) {
    origin.data_fingerprint = workload_.data_fingerprint();
    origin.device = "simulated";
  }
  auto recorder = protocol::Recorder::create(options_.record_dir, node, std::move(origin));
  if (recorder.ok())
    recorders_.insert_or_assign(node, std::move(recorder).value());
  else
    recorded_ = recorder.error();
}

// ---- what nodes tell --------------------------------------------------------------------------------

void SimJob::on_trace(TimeNs now, NodeId node, const protocol::TraceEvent& event) {
  if (const auto recorder = recorders_.find(node); recorder != recorders_.end() && recorded_.ok())
    recorded_ = recorder->second.record(now, event);
  if (options_.trace) options_.trace(node, protocol::trace_line(now, node, event));
}

void SimJob::on_note(NodeId node, protocol::Level level, const std::string& text) {
  result_.notes.push_back({network_.now(), node, level, text});
  if (options_.note) options_.note(result_.notes.back());
}

void SimJob::on_end(NodeId node, int exit_code, const std::string& text) {
  result_.ends.insert_or_assign(node, MemberEnd{network_.now(), exit_code, text});
  for (const auto& member : members_) {
    if (!member->process->alive() || std::ranges::find(member->nodes, node) == member->nodes.end()) continue;
    if (member->exit_code == 0) member->exit_code = exit_code;
    if (++member->ended < member->nodes.size()) continue;
    // Not now: its node is still at work.
    const TimeNs end = network_.now() + (node == kSchedulerNode ? kGoodbye : 0);
    member->process->at(end, [this, &member = *member] { exited(member, member.exit_code); });
  }
}

}  // namespace rubato::sim
