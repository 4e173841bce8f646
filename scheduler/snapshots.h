// The ledger of fixed snapshots: which were announced to the shards, which every shard has taken, which
// one the evaluator works on. (docs/protocol.md, rule 19.)
//
// A snapshot is announced before the clock at which it is due can be reached, so that in bsp it is the
// exact state of that clock: `known_to_all` is the gate that the scheduler holds grants behind.
//
// A shard holds at most eight snapshots (server/shard_state.h). The ledger stays below that, with room for
// the final one: else newer snapshots could take the places that older ones wait for, for ever.
//
// Invariants: ids grow with the clock at which they are due; at most one is being evaluated.
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>

#include "base/ids.h"
#include "base/time.h"

namespace rubato::scheduler {

// How far the job was when its slowest worker reached a snapshot's clock.
struct Reached {
  TimeNs at = 0;
  std::uint64_t updates = 0, samples = 0;
};

struct SnapshotEntry {
  std::uint64_t id = 0;
  Clock clock = 0;
  std::uint64_t epoch = 0;  // of the samples before it: the epoch that it ends
  bool final = false;
  bool evaluating = false;
  std::set<std::uint32_t> known, taken;  // ranks of shards
  TimeNs announced = 0;                  // last time that it was said to the shards
  std::optional<Reached> reached;
  TimeNs began = 0;  // to be evaluated
};

class Snapshots {
 public:
  explicit Snapshots(std::uint32_t shards) : shards_(shards) {}

  SnapshotEntry& announce(Clock clock, std::uint64_t epoch, bool final, TimeNs now) {
    entries_.push_back({++last_id_, clock, epoch, final, false, {}, {}, now, {}});
    return entries_.back();
  }
  // No other but the final one should be announced now.
  [[nodiscard]] bool full() const { return entries_.size() >= kPendingMax; }
  void known(std::uint32_t shard, std::uint64_t id) {
    for (SnapshotEntry& entry : entries_)
      if (entry.id <= id) entry.known.insert(shard);
  }
  void taken(std::uint32_t shard, std::uint64_t id) {
    if (SnapshotEntry* entry = find(id)) entry->taken.insert(shard);
  }
  // This shard knows of none and has none: it has to hear of them again.
  void forget(std::uint32_t shard) {
    for (SnapshotEntry& entry : entries_) {
      entry.known.erase(shard);
      entry.taken.erase(shard);
    }
  }
  // The slowest worker is at `clock` now.
  void reach(Clock clock, const Reached& now) {
    for (SnapshotEntry& entry : entries_)
      if (entry.clock <= clock && !entry.reached) entry.reached = now;
  }
  // Whether all shards know of every snapshot that is due at or before `clock`.
  [[nodiscard]] bool known_to_all(Clock clock) const {
    for (const SnapshotEntry& entry : entries_)
      if (entry.clock <= clock && entry.known.size() < shards_) return false;
    return true;
  }
  // The next one to evaluate: the oldest, once every shard has taken it and no other is under way.
  [[nodiscard]] SnapshotEntry* next() {
    if (entries_.empty() || entries_.front().evaluating || entries_.front().taken.size() < shards_) return nullptr;
    return &entries_.front();
  }
  [[nodiscard]] SnapshotEntry* evaluating() {
    return !entries_.empty() && entries_.front().evaluating ? &entries_.front() : nullptr;
  }
  [[nodiscard]] SnapshotEntry* find(std::uint64_t id) {
    for (SnapshotEntry& entry : entries_)
      if (entry.id == id) return &entry;
    return nullptr;
  }
  void done(std::uint64_t id) {
    while (!entries_.empty() && entries_.front().id <= id) entries_.pop_front();
  }
  // Forgets those that will never be due, because the job ends before. Returns whether there were any.
  bool cancel_after(Clock clock) {
    const std::size_t before = entries_.size();
    while (!entries_.empty() && entries_.back().clock > clock) entries_.pop_back();
    return entries_.size() != before;
  }
  // Nobody will ask for this one and those before it.
  [[nodiscard]] std::uint64_t released() const { return (entries_.empty() ? last_id_ + 1 : entries_.front().id) - 1; }
  [[nodiscard]] std::deque<SnapshotEntry>& entries() { return entries_; }

 private:
  static constexpr std::size_t kPendingMax = 6;

  std::uint32_t shards_;
  std::uint64_t last_id_ = 0;
  std::deque<SnapshotEntry> entries_;
};

}  // namespace rubato::scheduler
