// Servers that come back: a new process of a server that was killed or crashed, which goes on with what it has left in
// memory that outlived it (docs/protocol.md, rule 22).
//
// Its shards register, are welcomed with the workers that are active by then, take over their slices and get ready.
// From then on they are told again what they have to know and had only heard: the snapshots asked for, the lives that
// are sealed. Workers and evaluator learn where they are now from a Welcome with a higher route, said again until they
// have it; then they ask again for whatever is not answered. Nobody else waits for more than the slices that are away.
#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using protocol::Level;
using protocol::Outbox;

// What a shard has said is settled has to be in what it leaves, and whatever is not there has to come again.
std::string SchedulerCore::why_servers_stay_lost() const {
  if (phase_ == Phase::kGathering || phase_ == Phase::kInitializing) return "training has not begun";
  if (mode_.apply() == Mode::Apply::kCommitted)
    return fmt::format("in mode {} a push is acknowledged before it is in the weights", job_.consistency.mode);
  if (mode_.has_ages() && job_.optimizer.compensation.name != "none")
    return "delay compensation needs the weights that workers were given, which are lost with it";
  if (job_.train.record) return "the record of the run ends with it";
  return {};
}

void SchedulerCore::server_away(TimeNs now, NodeId first, const std::string& how, Outbox& out) {
  for (std::uint32_t shard = 0; shard < job_.cluster.shard_threads; ++shard) {
    const NodeId node = server_node(first.rank + shard);
    members_.at(node).state = MemberState::kLost;
    away_.insert_or_assign(node.rank, now);
    snapshots_->forget(node.rank);
  }
  auto line = metric(now, "server_lost");
  line["server"] = first.name();
  line["reason"] = how;
  metrics_.push_back(std::move(line));
  say(now, Level::kWarning,
      fmt::format("{} {}; what it had is there, and whoever needs it waits until the server is back", first.name(),
                  how),
      out);
}

// A shard of it has registered again.
void SchedulerCore::server_moved(const Member& server) {
  routing_.addresses.at(server.node.rank) = server.registered.address;
  ++routing_.route;
}

void SchedulerCore::server_back(TimeNs now, const Member& server, Outbox& out) {
  const TimeNs since = away_.at(server.node.rank);
  away_.erase(server.node.rank);
  for (const SnapshotEntry& entry : snapshots_->entries())
    out.send(server.node, protocol::Snapshot{entry.id, entry.clock});
  for (const auto& [rank, dead] : dead_)
    if (!dead.sealed.contains(server.node.rank)) out.send(server.node, dead.seal);
  for (const Role role : {Role::kWorker, Role::kEvaluator})
    each(role, [&](Member& member) {
      if (member.welcomed && !is_gone(member.state)) welcome(member, out);
    });
  auto line = metric(now, "server_returned");
  line["server"] = server.node.name();
  line["life"] = server.incarnation;
  line["away_s"] = seconds(now - since);
  metrics_.push_back(std::move(line));
  say(now, Level::kInfo,
      fmt::format("{} is back after {:.1f} s, as process {} on {}, with what it had", server.node.name(),
                  seconds(now - since), server.registered.pid, server.registered.host),
      out);
}

// Where the shards are now, said again until it is known.
void SchedulerCore::repeat_route(Member& member, Outbox& out) {
  const bool reader = member.node.role == Role::kWorker || member.node.role == Role::kEvaluator;
  if (reader && member.welcomed && member.route < routing_.route && away_.empty()) welcome(member, out);
}

void SchedulerCore::check_away(TimeNs now, Outbox& out) {
  for (const auto& [rank, since] : away_) {
    if (now - since < timing_.start_timeout) continue;
    return end_job(now, static_cast<int>(Cause::kPeerLost),
                   fmt::format("{} has not come back for {:.1f} s: its part of the model is lost, so the job ends",
                               server_node(rank).name(), seconds(now - since)),
                   out);
  }
}

}  // namespace rubato::scheduler
