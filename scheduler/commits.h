// Which steps make which update, in the modes whose updates are committed (docs/protocol.md, rule 9).
//
// A worker's tick says that every shard has accepted its pushes of a step. Accepted steps gather here until
// they are enough for an update; then they are made a commit, which names them, and every shard adds up the
// same ones. How many are enough, with N active workers:
//
//   backup:B    N - B steps of one clock: the first that come. Whoever is later is too late, and goes on
//               with the next clock (Chen, Pan, Monga, Bengio, Jozefowicz, "Revisiting Distributed
//               Synchronous SGD", 2016, section 3: the update of clock c is the mean over the first N - B)
//   softsync:n  floor(N / n) steps of any clock, in the order of their ticks (Zhang, Gupta, Lian, Liu,
//               "Staleness-aware Async-SGD for Distributed Deep Learning", IJCAI 2016, equation 5)
//
// and at least one. A step of a worker that is gone is in no later commit.
//
// Commits are numbered from 1 on, and said to each shard until it has applied them. Those that are not
// applied everywhere are bounded: a scheduler that finds this ledger `crowded` gives no grants.
//
// Cost: O(log N) a step. Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/mode.h"
#include "base/time.h"
#include "protocol/messages.h"
#include "scheduler/clock_table.h"

namespace rubato::scheduler {

// A step that every shard has accepted.
struct AcceptedStep {
  std::uint32_t worker = 0;
  protocol::Tick tick;
  std::uint64_t epoch = 0;
};

class Commits {
 public:
  Commits(const Mode& mode, std::uint32_t shards) : mode_(mode), applied_(shards, 0) {}

  // From now on a worker counts, from this clock on. / It does no more.
  void joined(std::uint32_t worker, Clock clock) { done_.add(worker, clock); }
  void gone(std::uint32_t worker);

  // The step is the worker's next; in backup, of the clock that is open.
  void accept(AcceptedStep step) { open_.push_back(std::move(step)); }
  [[nodiscard]] bool complete() const { return open_.size() >= needed(); }
  // There is something to commit: steps, or a floor that rose because a worker is gone.
  [[nodiscard]] bool unfinished() const { return !open_.empty() || floor() > floor_said_; }

  struct Made {
    protocol::Commit message;
    std::vector<AcceptedStep> steps;  // as message.contributors
  };
  // Everything that is open, as the next commit. It is for the caller to say it to the shards.
  [[nodiscard]] Made make(double rate, TimeNs now);

  // The worker's steps below this are in commits, or too late for one.
  [[nodiscard]] Clock done(std::uint32_t worker) const { return done_.clock(worker); }
  // The least of these.
  [[nodiscard]] Clock floor() const { return done_.min(); }

  // A shard has applied all commits up to this one.
  void applied(std::uint32_t shard, std::uint64_t number);
  [[nodiscard]] bool applied_by_all() const { return unapplied_.empty(); }
  [[nodiscard]] bool crowded() const { return unapplied_.size() >= protocol::Commit::kAheadMax; }
  // The shard that has applied the fewest.
  [[nodiscard]] std::uint32_t slowest() const {
    return static_cast<std::uint32_t>(std::ranges::min_element(applied_) - applied_.begin());
  }
  // What this shard has to be told again, because it was said `wait` ago and it has not applied it.
  [[nodiscard]] std::vector<protocol::Commit> unanswered(std::uint32_t shard, TimeNs now, TimeNs wait) const;
  // All that is unanswered was said again.
  void said_again(TimeNs now, TimeNs wait);

 private:
  struct Sent {
    protocol::Commit message;
    TimeNs at = 0;
  };
  [[nodiscard]] std::size_t needed() const;

  const Mode mode_;
  ClockTable done_;
  std::vector<AcceptedStep> open_;  // in the order of their ticks
  std::uint64_t made_ = 0;
  Clock floor_said_ = 0;
  std::deque<Sent> unapplied_;
  std::vector<std::uint64_t> applied_;  // by shard
};

}  // namespace rubato::scheduler
