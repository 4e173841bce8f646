// Which samples a step is about.
//
// aggregate: the batch of clock c is the same whoever computes it: positions [bB, bB + B) of its epoch's
//   permutation, cut into M leaves; workers own aligned parts of the leaf tree (protocol/leaf_tree.h).
// on arrival: an epoch's permutation is dealt into equal shares (sizes differ by at most one) among the
//   workers that are active when the epoch is first reached; a worker takes its share B samples a step.
//   Whoever has none left takes empty steps until the epoch's last clock, so that all agree on clocks. In
//   local:H it takes H B samples a clock.
//
// Epochs are planned one by one, when somebody first reaches them; a plan never changes afterwards.
// Thread-safety: one owner. Pure: a function of the calls made.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/job.h"
#include "protocol/messages.h"

namespace rubato::scheduler {

struct EpochPlan {
  std::uint64_t epoch = 0;
  Clock first = 0, end = 0;            // its clocks are [first, end)
  std::vector<std::uint32_t> workers;  // who shares it, in rank order
};

class DataPlan {
 public:
  DataPlan(const TrainConfig& train, const Mode& mode, std::uint64_t samples);

  // The plan of the epoch that holds `clock`; nothing where there is none yet.
  [[nodiscard]] const EpochPlan* epoch_of(Clock clock) const;
  // Plans the next epoch, for `active` workers, in rank order: `clock` is the first that no plan holds yet. Nothing
  // where the job ends before that clock.
  const EpochPlan* plan_epoch_of(Clock clock, std::vector<std::uint32_t> active);

  // The samples of step `clock` as worker `rank` sees it. Its epoch is planned.
  [[nodiscard]] protocol::BatchRange batch(std::uint32_t rank, Clock clock) const;

  // Its worker is gone: in the epochs planned so far this rank has no samples any more. Who comes back has a part in
  // those that are planned from then on.
  void leave(std::uint32_t rank) { part_from_[rank] = plans_.empty() ? 0 : plans_.back().epoch + 1; }

  // Samples of a clock, of all workers or of each; fewer where an epoch ends.
  [[nodiscard]] std::uint64_t clock_samples() const { return batch_; }
  // Leaves that a batch is cut into.
  [[nodiscard]] std::uint32_t leaves() const { return aggregate_ ? micro_batches_ : 1; }

  // One past the job's last clock, once the last epoch is planned.
  [[nodiscard]] std::optional<Clock> end() const { return end_; }

  // Samples of the whole job: of the epochs planned, and of those to come if `workers` share them.
  [[nodiscard]] std::uint64_t total_samples(std::uint64_t workers) const;
  [[nodiscard]] std::uint64_t epoch_samples() const { return samples_; }
  // Samples of all clocks before `clock`, aggregate only: there it is the same in every run.
  [[nodiscard]] std::uint64_t samples_before(Clock clock) const;
  // Samples of `rank`'s steps from `clock` on, in all epochs planned so far; on arrival only.
  [[nodiscard]] std::uint64_t samples_from(std::uint32_t rank, Clock clock) const;

  // Plans of epochs that end at or before `clock` are no longer needed.
  void forget_before(Clock clock);

 private:
  [[nodiscard]] const EpochPlan& planned(Clock clock) const;
  [[nodiscard]] protocol::BatchRange share(const EpochPlan& plan, std::uint32_t rank) const;
  // Clocks of a whole epoch that `workers` share, and the samples of its first `clocks`.
  [[nodiscard]] std::uint64_t epoch_clocks(std::uint64_t workers) const;
  [[nodiscard]] std::uint64_t samples_in(std::uint64_t clocks, std::uint64_t workers) const;

  bool aggregate_;
  std::uint64_t samples_, batch_, epochs_;
  std::uint32_t micro_batches_;
  Clock steps_;  // 0: epochs decide
  std::vector<EpochPlan> plans_;
  std::map<std::uint32_t, std::uint64_t> part_from_;  // the first epoch of whoever has left once
  std::uint64_t planned_samples_ = 0;                 // of all plans so far
  std::optional<Clock> end_;
};

}  // namespace rubato::scheduler
