// From the first registration to the first grant.
#include <algorithm>

#include "base/counted.h"
#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Level;
using protocol::Outbox;

std::uint32_t SchedulerCore::shards() const {
  return static_cast<std::uint32_t>(job_.cluster.servers * job_.cluster.shard_threads);
}

std::vector<NodeId> SchedulerCore::expected() const {
  std::vector<NodeId> nodes;
  for (std::uint32_t rank = 0; rank < shards(); ++rank) nodes.push_back(server_node(rank));
  for (std::uint32_t rank = 0; rank < job_.cluster.workers; ++rank) nodes.push_back(worker_node(rank));
  nodes.push_back(evaluator_node(0));
  return nodes;
}

bool SchedulerCore::is_expected(NodeId node) const {
  switch (node.role) {
    case Role::kScheduler:
      return false;
    case Role::kServer:
      return node.rank < shards();
    case Role::kWorker:
      return node.rank < job_.cluster.workers;
    case Role::kEvaluator:
      return node.rank == 0;
  }
  return false;
}

bool SchedulerCore::has_place_for(NodeId process) const {
  return process.role == Role::kServer ? process.rank < job_.cluster.servers : is_expected(process);
}

std::vector<std::string> SchedulerCore::missing() const {
  std::vector<std::string> names;
  for (NodeId node : expected()) {
    const auto found = members_.find(node);
    const bool absent = found == members_.end() && phase_ == Phase::kGathering;
    const bool unready =
        found != members_.end() && found->second.welcomed && found->second.state == MemberState::kJoining;
    if (absent || unready) names.push_back(node.name());
  }
  return names;
}

// What speaks against letting this process in, if anything does.
std::optional<Error> SchedulerCore::objection(NodeId node, const protocol::Register& message) const {
  if (!is_expected(node))
    return Error{Cause::kRefused, fmt::format("{} is not part of this job, which has {} server and {} worker processes",
                                              node.name(), job_.cluster.servers, job_.cluster.workers)};
  if (message.job_hash != job_hash_)
    return Error{Cause::kRefused, fmt::format("{} runs another job file (hash {:.12}, the scheduler's is {:.12}): "
                                              "give all of them the resolved job.toml of the run directory",
                                              node.name(), message.job_hash, job_hash_)};
  if (node.role == Role::kServer) return std::nullopt;
  RUBATO_CHECK(node.role == Role::kWorker || node.role == Role::kEvaluator);
  if (Status status = protocol::check_manifest(message.manifest); !status.ok()) return status.error();
  if (!manifest_hash_.empty() && protocol::manifest_hash(message.manifest) != manifest_hash_)
    return Error{Cause::kRefused, fmt::format("{} built another model than the members before it: is it another "
                                              "release of Rubato?",
                                              node.name())};
  if (!data_fingerprint_.empty() && message.data_fingerprint != data_fingerprint_)
    return Error{Cause::kRefused,
                 fmt::format("{} on {} has other training data than the members before it (fingerprint {:.12}, theirs "
                             "is {:.12})",
                             node.name(), message.host, message.data_fingerprint, data_fingerprint_)};
  if (message.train_samples == 0 || message.manifest.empty())
    return Error{Cause::kRefused, fmt::format("{} has no training samples or no parameters", node.name())};
  return std::nullopt;
}

// News of an end may overtake what the process said before it: that is nobody's word any more, and its place is for the
// process that follows.
bool SchedulerCore::has_ended(NodeId node, std::uint32_t pid) const {
  if (node.role == Role::kServer) node.rank /= static_cast<std::uint32_t>(job_.cluster.shard_threads);
  const auto ended = ended_.find(node);
  return ended != ended_.end() && ended->second == pid;
}

void SchedulerCore::on_register(TimeNs now, const protocol::Envelope& from, const protocol::Register& message,
                                Outbox& out) {
  if (has_ended(from.from, message.pid)) return;
  Member* known = find(from.from);
  if (known != nullptr && known->registered.nonce == message.nonce) {
    // Said again. The answer was lost, or is not due yet.
    if (is_gone(known->state)) return;
    out.bind(from);
    known->heard = now;
    if (known->welcomed) welcome(*known, out);
    return;
  }
  if (phase_ == Phase::kOver) {
    // Where it failed, nothing is wrong with those who come late: they only lost their job.
    const Cause cause = finish_.exit_code == 0 ? Cause::kRefused : Cause::kPeerLost;
    out.reply(from, protocol::Refuse{cause, "the job is over: " + finish_.text});
    return;
  }
  std::optional<Error> error = objection(from.from, message);
  if (!error && known == nullptr && phase_ != Phase::kGathering)
    error = Error{Cause::kRefused, fmt::format("{} comes too late: the job has begun without it", from.from.name())};
  const bool returns = known != nullptr && is_gone(known->state);
  if (!error && known != nullptr && !returns)
    error = Error{Cause::kRefused, fmt::format("{} is in the job already, as process {} on {}", from.from.name(),
                                               known->registered.pid, known->registered.host)};
  if (!error && returns && from.from.role == Role::kServer && !away_.contains(from.from.rank))
    error = Error{Cause::kRefused, fmt::format("{} comes back to a job that has lost it", from.from.name())};
  if (!error && returns && from.from.role == Role::kWorker && phase_ != Phase::kTraining)
    error = Error{Cause::kRefused, fmt::format("{} comes back too late: the job is about to end", from.from.name())};
  if (error) {
    say(now, Level::kWarning, error->message, out);
    out.reply(from, protocol::Refuse{error->cause, error->message});
    return;
  }

  Member& member = members_[from.from];
  const Incarnation incarnation = member.incarnation + 1;
  const WorkerRecord before = std::move(member.work);
  const Counts earlier = member.counts();
  member = Member{};
  member.earlier = earlier;
  member.work = before.next_life();
  member.node = from.from;
  member.incarnation = incarnation;
  member.registered = message;
  member.heard = now;
  out.bind(from);
  if (from.from.role != Role::kServer && manifest_hash_.empty()) {
    manifest_ = message.manifest;
    manifest_hash_ = protocol::manifest_hash(manifest_);
    data_fingerprint_ = message.data_fingerprint;
    data_.emplace(job_.train, mode_, message.train_samples);
    if (is_leased(job_)) {
      leases_.emplace(job_.train, job_.cluster.workers, message.train_samples);
      lease_sizes_.emplace(job_.train.batch);
    }
  }
  say(now, Level::kDebug, fmt::format("{} joined: process {} on {}", from.from.name(), message.pid, message.host), out);
  if (returns && from.from.role == Role::kServer) server_moved(member);
  if (returns) welcome(member, out);
  if (returns && from.from.role == Role::kWorker) returning_.insert(from.from.rank);
  advance_start(now, out);
}

void SchedulerCore::welcome(Member& member, Outbox& out) {
  member.welcomed = true;
  protocol::Welcome message{member.incarnation, generation_, manifest_, routing_, {}};
  if (member.node.role == Role::kServer) message.active = membership().active;
  out.send(member.node, std::move(message));
}

// Moves on from gathering, and then from initializing, as soon as everybody needed is there.
void SchedulerCore::advance_start(TimeNs now, Outbox& out) {
  if (phase_ == Phase::kGathering) {
    const bool late = now - phase_since_ >= timing_.start_timeout;
    // Asked with every registration: ten thousand looks at ten thousand members would take a while.
    if (!late && members_.size() < shards() + static_cast<std::size_t>(job_.cluster.workers) + 1) return;
    std::uint32_t workers = 0;
    each(Role::kWorker, [&](Member&) { ++workers; });
    const auto wanted = static_cast<std::uint32_t>(late && job_.cluster.min_workers > 0 ? job_.cluster.min_workers
                                                                                        : job_.cluster.workers);
    for (const std::string& name : missing())
      if (name.rfind("worker-", 0) != 0) return;
    if (workers < wanted) return;

    enter_phase(Phase::kInitializing, now);
    snapshots_.emplace(shards());
    routing_.route = 1;
    routing_.slices = protocol::cut_slices(manifest_, static_cast<std::uint64_t>(job_.cluster.slice_bytes), shards());
    each(Role::kServer, [&](Member& server) { routing_.addresses.push_back(server.registered.address); });
    if (mode_.apply() == Mode::Apply::kCommitted) commits_.emplace(mode_, shards());
    each(Role::kWorker, [&](Member& worker) {
      clocks_.add(worker.node.rank, 0);
      rules_.joined(worker.node.rank, 0);
      if (commits_) commits_->joined(worker.node.rank, 0);
      if (leases_) lease_sizes_->joined(worker.node.rank);
    });
    rate_.emplace(job_.optimizer.schedule, data_->epoch_samples(), samples_total(), data_->clock_samples(),
                  LearningRate::before(job_, data_->epoch_samples()));
    generation_ = 1;
    each(Role::kServer, [&](Member& server) { welcome(server, out); });
    say(now, Level::kInfo,
        fmt::format("{} in {} on {}", counted(manifest_.size(), "parameter"), counted(routing_.slices.size(), "slice"),
                    counted(shards(), "shard")),
        out);
    return;
  }
  if (phase_ != Phase::kInitializing) return;
  bool servers_ready = true, others_ready = true;
  each(Role::kServer, [&](Member& server) { servers_ready &= server.state == MemberState::kReady; });
  if (!servers_ready) return;
  for (Role role : {Role::kWorker, Role::kEvaluator})
    each(role, [&](Member& member) {
      if (!member.welcomed) welcome(member, out);
      others_ready &= member.state == MemberState::kReady;
    });
  if (others_ready) begin_training(now, out);
}

void SchedulerCore::on_ready(TimeNs now, Member& member, Outbox& out) {
  out.send(member.node, protocol::Beat{true, 0, member.alarms});
  if (member.state != MemberState::kJoining) return;
  member.state = MemberState::kReady;
  // Of the workers only the last one is worth a look at all members. None is lost here without ending the job.
  const bool starting = phase_ == Phase::kInitializing && member.node.role == Role::kWorker;
  if (!starting || ++workers_ready_ == clocks_.size()) advance_start(now, out);
  if (member.node.role == Role::kEvaluator) evaluate_next(now, out);
  if (member.node.role == Role::kServer && away_.contains(member.node.rank)) server_back(now, member, out);
  admit_returning(now, out);
}

void SchedulerCore::begin_training(TimeNs now, Outbox& out) {
  enter_phase(Phase::kTraining, now);
  training_since_ = now;
  say(now, Level::kInfo,
      fmt::format("training starts: {}, {}, {}", counted(clocks_.size(), "worker"), counted(routing_.shards(), "shard"),
                  job_.consistency.mode),
      out);
  auto line = metric(now, "start");
  std::uint64_t elements = 0;
  for (const ParameterSpec& parameter : manifest_) elements += static_cast<std::uint64_t>(parameter.elements());
  line["mode"] = job_.consistency.mode;
  line["workers"] = clocks_.size();
  line["servers"] = job_.cluster.servers;
  line["shards"] = routing_.shards();
  line["slices"] = routing_.slices.size();
  line["parameters"] = elements;
  line["batch"] = job_.train.batch;
  line["local_steps"] = mode_.local_steps;
  line["train_samples"] = data_->epoch_samples();
  metrics_.push_back(std::move(line));
  for (const auto& [rank, clock] : clocks_.clocks()) {
    protocol::TraceEvent event;
    event.kind = protocol::TraceKind::kActive;
    event.worker = rank;
    event.clock = clock;
    event.life = members_.at(worker_node(rank)).incarnation;
    out.trace(event);
    blocked_.emplace(clock, rank);
    WorkerRecord& work = members_.at(worker_node(rank)).work;
    work.ticked = work.moved = now;
  }
  grant_all(now, out);
}

}  // namespace rubato::scheduler
