// The samples of a job as leases (docs/protocol.md, rules 11 and 12): data.shards = "leased".
//
// An epoch's permutation is dealt out from its beginning, a range at a time, to whoever is granted a step; where
// one epoch is dealt out the next begins. A lease is held until its step is settled. If a worker dies and its step
// was settled nowhere, the lease comes back, and is dealt again before anything else. So each sample of an epoch is
// settled once, whoever takes it, and the epoch ends when all of them are: at no clock that could be told beforehand.
//
// train.epochs says how much there is to deal; or train.steps: as much as that many steps of train.batch samples
// are for each worker of the job, whoever takes them.
//
// Invariants: what is to be dealt, what is held and what is settled are disjoint, and are all samples of the epochs
// that were begun.
// Cost: O(log N) a lease. Thread-safety: one owner. Pure: a function of the calls made.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/job.h"
#include "protocol/messages.h"

namespace rubato::scheduler {

class Leases {
 public:
  Leases(const TrainConfig& train, std::int64_t workers, std::uint64_t epoch_samples);

  // The lease of a worker's step, of at most `most` samples, at least one. Nothing where all is dealt out.
  [[nodiscard]] std::optional<protocol::BatchRange> deal(std::uint32_t rank, Clock clock, std::uint64_t most);

  // What becomes of it: its samples are settled for good, consumed or lost.
  void settle(std::uint32_t rank, Clock clock);
  // ... they come back. Returns how many.
  std::uint64_t give_back(std::uint32_t rank, Clock clock);
  // ... all of a worker's come back.
  void give_back_all(std::uint32_t rank);

  // At the moment there is nothing to deal.
  [[nodiscard]] bool dealt_out() const { return returned_.empty() && next_ == total_; }

  // Samples of an epoch, and those of them that are settled, until it is forgotten. The last may be cut short.
  [[nodiscard]] std::uint64_t size(std::uint64_t epoch) const;
  [[nodiscard]] std::uint64_t settled(std::uint64_t epoch) const;
  void forget(std::uint64_t epoch) { settled_.erase(epoch); }
  [[nodiscard]] bool is_last(std::uint64_t epoch) const { return (epoch + 1) * epoch_samples_ >= total_; }

  // Of the whole job.
  [[nodiscard]] std::uint64_t total_samples() const { return total_; }

 private:
  using Step = std::pair<std::uint32_t, Clock>;
  [[nodiscard]] protocol::BatchRange take(Step step);

  const std::uint64_t epoch_samples_;
  const std::uint64_t total_;
  std::uint64_t next_ = 0;  // samples before it were dealt, once at least
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> returned_;  // (epoch, first) -> count
  std::map<Step, protocol::BatchRange> held_;
  std::map<std::uint64_t, std::uint64_t> settled_;  // by epoch
};

}  // namespace rubato::scheduler
