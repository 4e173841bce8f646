#include "server/members.h"

namespace rubato::server {

using protocol::ActiveWorker;
using protocol::TraceKind;

void Members::heard_of(std::uint32_t rank, Incarnation incarnation) {
  Life& life = newest_[rank];
  if (incarnation > life.incarnation) life = {incarnation, false};
}

void Members::set_active(const std::vector<ActiveWorker>& active, protocol::Outbox& out) {
  std::map<std::uint32_t, ActiveWorker> next;
  for (const ActiveWorker& worker : active) {
    next[worker.rank] = worker;
    heard_of(worker.rank, worker.incarnation);
  }
  const auto same_life = [](const auto& table, const ActiveWorker& worker) {
    const auto at = table.find(worker.rank);
    return at != table.end() && at->second.incarnation == worker.incarnation;
  };
  for (const auto& [rank, worker] : active_) {
    if (!same_life(next, worker)) out.trace({.kind = TraceKind::kInactive, .worker = rank});
  }
  for (const auto& [rank, worker] : next) {
    if (!same_life(active_, worker))
      out.trace({.kind = TraceKind::kActive, .worker = rank, .clock = worker.start_clock, .life = worker.incarnation});
  }
  active_ = std::move(next);
}

void Members::seal(std::uint32_t rank, Incarnation incarnation) {
  heard_of(rank, incarnation);
  Life& life = newest_[rank];
  if (incarnation == life.incarnation) life.sealed = true;
}

Admission Members::admit(std::uint32_t rank, Incarnation incarnation) const {
  const auto newest = newest_.find(rank);
  if (newest == newest_.end() || incarnation > newest->second.incarnation) return Admission::kEarly;
  const auto active = active_.find(rank);
  const bool counted = active != active_.end() && active->second.incarnation == incarnation;
  return counted && !newest->second.sealed ? Admission::kAdmitted : Admission::kFenced;
}

}  // namespace rubato::server
