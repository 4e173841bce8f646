#include "server/shard_state.h"

#include <algorithm>
#include <ranges>

namespace rubato::server {
namespace {

// Ranks are the sender's word: whoever makes them up shall not fill our memory.
constexpr std::size_t kPeersNotedMax = 64;

}  // namespace

HeldSnapshot* ShardState::find_snapshot(std::uint64_t id) {
  const auto at = std::ranges::find(snapshots, id, &HeldSnapshot::id);
  return at == snapshots.end() ? nullptr : &*at;
}

void ShardState::alarm(protocol::Alarm alarm, protocol::Outbox& out) {
  ++counters.nonfinite;
  if (alarms_.size() >= kAlarmsMax) return;
  alarm.number = ++alarms_said_;
  alarms_.push_back(alarm);
  out.send(kSchedulerNode, alarm);
}

void ShardState::alarms_arrived(std::uint64_t count) {
  while (!alarms_.empty() && alarms_.front().number <= count) alarms_.pop_front();
}

void ShardState::say_alarms_again(protocol::Outbox& out) const {
  for (const protocol::Alarm& alarm : alarms_ | std::views::take(kAlarmsAgain)) out.send(kSchedulerNode, alarm);
}

void ShardState::refuse(const protocol::Envelope& envelope, std::string_view why, protocol::Outbox& out) {
  ++refused;
  if (refused_peers_.size() >= kPeersNotedMax || !refused_peers_.insert(envelope.from).second) return;
  out.note(protocol::Level::kWarning,
           fmt::format("refused a message of {}: {} (later ones of the same peer are only counted)",
                       envelope.from.name(), why));
}

}  // namespace rubato::server
