#include "sim/sim_job.h"

#include <algorithm>
#include <utility>

namespace rubato::sim {

using protocol::Outbox;

namespace {

constexpr std::uint64_t kJobId = 0x5349'4D4A'4F42;
// The launcher's: to see that a child is gone, and to start another evaluator.
constexpr TimeNs kNotice = kMillisecond;
constexpr TimeNs kRestart = 50 * kMillisecond;
// After the end of a job the scheduler answers latecomers for so long, as its program does.
constexpr TimeNs kGoodbye = 500 * kMillisecond;
constexpr int kSigkill = 9;

}  // namespace

SimJob::SimJob(const Job& job, SimOptions options, Workload& workload)
    : job_(job), options_(std::move(options)), workload_(workload), network_(options_.seed) {
  network_.set_default_link(options_.link);
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
  member.random = RandomStream(stream_key(options_.seed, host + " compute", processes_++));
  member.process = std::make_unique<SimProcess>(
      network_, host, kJobId, static_cast<NodeListener&>(*this),
      protocol::NodeOptions{.tracing = options_.trace || recording(), .hashing = recording()});
  if (recording())
    for (const NodeId node : member.nodes) keep_record(node);
  return member;
}

void SimJob::add_scheduler() {
  scheduler_ = std::make_unique<scheduler::SchedulerCore>(job_, options_.timing);
  Member& member = add_member({kSchedulerNode});
  member.process->node().host(*scheduler_, [this, &member](TimeNs) {
    scheduler_->set_refused_frames(member.process->node().refused());
    for (const auto& line : scheduler_->take_metrics()) result_.metrics.push_back(line.dump());
  });
}

void SimJob::add_server(std::uint32_t process, std::uint32_t threads) {
  std::vector<NodeId> nodes;
  for (std::uint32_t thread = 0; thread < threads; ++thread) nodes.push_back(server_node(process * threads + thread));
  Member& member = add_member(nodes);
  for (const NodeId node : nodes) {
    member.shards.push_back(
        std::make_unique<server::ShardCore>(node, job_, registration(node, member.process->host()), options_.timing));
    member.process->node().host(*member.shards.back());
  }
}

void SimJob::add_worker(std::uint32_t rank) {
  const NodeId self = worker_node(rank);
  add_client(self, std::make_unique<worker::WorkerClient>(self, registration(self, self.name()), options_.timing));
}

void SimJob::add_evaluator() {
  const NodeId self = evaluator_node(0);
  add_client(self, std::make_unique<worker::EvaluatorClient>(self, registration(self, self.name()), options_.timing));
}

template <typename Client>
void SimJob::add_client(NodeId self, std::unique_ptr<Client> client) {
  Member& member = add_member({self});
  Client& core = *client;
  member.client = std::move(client);
  member.process->node().host(core, [this, &member, &core](TimeNs) { give_orders(member, core); });
}

template <typename Client>
void SimJob::give_orders(Member& member, Client& client) {
  std::vector<worker::ComputeOrder> orders = client.take_orders();
  if (orders.empty()) return;
  if (!member.compute) {
    const NodeId self = member.nodes.front();
    auto computer = workload_.make_computer(self);
    computer->set_routing(client.routing());
    member.compute = std::make_unique<VirtualCompute>(
        *member.process, std::move(computer), client.routing().slices.size(),
        [this, &member](const worker::ComputeOrder& order) { return duration(member, order); },
        [&member, &client](worker::ComputeReport report) {
          member.process->node().enter(client,
                                       [&](TimeNs now, Outbox& out) { client.report(now, std::move(report), out); });
        });
  }
  for (const worker::ComputeOrder& order : orders)
    if (const auto* read = std::get_if<worker::EvaluateWeights>(&order)) keep_snapshot(*read, client.routing());
  member.compute->take(std::move(orders));
}

protocol::Register SimJob::registration(NodeId self, const std::string& host) {
  protocol::Register message;
  message.nonce = stream_key(options_.seed, "nonce " + self.name(), processes_);
  message.pid = static_cast<std::uint32_t>(1000 + processes_);
  message.host = "sim";
  message.address = SimProcess::address(host);
  message.job_hash = job_hash(job_);
  if (self.role == Role::kServer) return message;
  message.data_fingerprint = workload_.data_fingerprint();
  message.train_samples = workload_.train_samples();
  message.manifest = workload_.manifest();
  return message;
}

TimeNs SimJob::duration(Member& member, const worker::ComputeOrder& order) {
  const ComputeTime& compute = options_.compute;
  if (std::holds_alternative<worker::EvaluateWeights>(order)) return compute.evaluation;
  const auto time = static_cast<double>(compute.step.draw(member.random));
  return static_cast<TimeNs>(time * compute.factor(member.nodes.front().rank));
}

void SimJob::keep_snapshot(const worker::EvaluateWeights& read, const protocol::RoutingTable& routing) {
  std::vector<std::size_t> first;
  std::size_t elements = 0;
  for (const ParameterSpec& parameter : workload_.manifest()) {
    first.push_back(elements);
    elements += static_cast<std::size_t>(parameter.elements());
  }
  ReadSnapshot snapshot{read.order.epoch, read.order.clock, read.order.final, std::vector<float>(elements)};
  for (std::size_t slice = 0; slice < read.slices.size(); ++slice) {
    std::span<const float> values = read.slices[slice].floats();
    for (const protocol::Piece& piece : routing.slices[slice].pieces) {
      std::ranges::copy(values.first(piece.count),
                        snapshot.weights.begin() + static_cast<std::ptrdiff_t>(first[piece.parameter] + piece.first));
      values = values.subspan(piece.count);
    }
  }
  if (snapshot.final) result_.final_weights = snapshot.weights;
  result_.snapshots.push_back(std::move(snapshot));
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
  faults_left_ = options_.faults.size();
  for (const Fault& fault : options_.faults)
    if (fault.at == 0)
      happen(fault);
    else
      network_.schedule(fault.at, [this, &fault] { happen(fault); });
  for (const auto& member : members_)
    if (member->process->alive()) connect_and_start(*member);
  while (!all_over() && recorded_.ok() && network_.next_event() <= max_time && network_.step()) {
  }

  result_.over = all_over();
  if (!result_.over) result_.unfinished = scheduler_->status(network_.now()).dump(2);
  result_.time = network_.now();
  result_.network = network_.counters();
  for (const auto& member : members_)
    for (const auto& shard : member->shards) result_.shards.push_back(shard->counters());
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

SimJob::Member* SimJob::find(const std::string& host) {
  const auto found = std::find_if(members_.rbegin(), members_.rend(),
                                  [&](const auto& member) { return member->process->host() == host; });
  return found == members_.rend() ? nullptr : found->get();
}

void SimJob::happen(const Fault& fault) {
  --faults_left_;
  Member* member = find(fault.host);
  RUBATO_CHECK(member != nullptr, "no host \"{}\"", fault.host);
  if (!member->process->alive()) return;
  switch (fault.kind) {
    case Fault::Kind::kKill:
      exited(*member, -kSigkill);
      break;
    case Fault::Kind::kPause:
      member->process->pause();
      break;
    case Fault::Kind::kResume:
      member->process->resume();
      break;
    case Fault::Kind::kCut:
      network_.cut(fault.host, fault.other, fault.at, fault.end);
      network_.cut(fault.other, fault.host, fault.at, fault.end);
      break;
    case Fault::Kind::kDrain:
      enter_scheduler([&](TimeNs now, Outbox& out) { scheduler_->drain(now, out); });
      break;
  }
}

void SimJob::enter_scheduler(const std::function<void(TimeNs, Outbox&)>& call) {
  Member& member = *members_.front();
  if (member.process->alive()) member.process->node().enter(*scheduler_, call);
}

// The process is gone: by itself, with a code of 0 or more, or killed.
void SimJob::exited(Member& member, int code) {
  member.process->kill();
  if (!options_.launcher) return;
  network_.schedule(network_.now() + kNotice, [this, &member, code] {
    NodeId process = member.nodes.front();
    if (process.role == Role::kServer) process.rank /= static_cast<std::uint32_t>(member.nodes.size());
    enter_scheduler([&](TimeNs now, Outbox& out) { scheduler_->member_exited(now, process, code, out); });
  });
  if (member.nodes.front().role == Role::kEvaluator && code < 0)
    network_.schedule(network_.now() + kRestart, [this] {
      if (!members_.front()->process->alive()) return;
      add_evaluator();
      connect_and_start(*members_.back());
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
  if (options_.trace) options_.trace(protocol::trace_line(now, node, event));
}

void SimJob::on_note(NodeId node, protocol::Level level, const std::string& text) {
  result_.notes.push_back({network_.now(), node, level, text});
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
