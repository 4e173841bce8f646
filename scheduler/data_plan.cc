#include "scheduler/data_plan.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/partition.h"

namespace rubato::scheduler {
namespace {

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace

DataPlan::DataPlan(const TrainConfig& train, const Mode& mode, std::uint64_t samples)
    : aggregate_(mode.apply() == Mode::Apply::kAggregate),
      samples_(samples),
      batch_(static_cast<std::uint64_t>(train.batch * mode.steps_per_clock())),
      epochs_(static_cast<std::uint64_t>(train.epochs)),
      micro_batches_(static_cast<std::uint32_t>(train.micro_batches)),
      steps_(train.steps) {
  RUBATO_CHECK(samples_ > 0 && batch_ > 0 && micro_batches_ > 0);
}

const EpochPlan* DataPlan::epoch_of(Clock clock) const {
  for (auto plan = plans_.rbegin(); plan != plans_.rend(); ++plan)
    if (plan->first <= clock && clock < plan->end) return &*plan;
  return nullptr;
}

const EpochPlan* DataPlan::plan_epoch_of(Clock clock, std::vector<std::uint32_t> active) {
  if (end_ && clock >= *end_) return nullptr;
  RUBATO_CHECK(clock == (plans_.empty() ? 0 : plans_.back().end), "clock {} skips an epoch", clock);
  RUBATO_CHECK(!active.empty());
  EpochPlan plan;
  plan.epoch = plans_.empty() ? 0 : plans_.back().epoch + 1;
  plan.first = plans_.empty() ? 0 : plans_.back().end;
  plan.workers = std::move(active);
  plan.end = plan.first + static_cast<Clock>(epoch_clocks(plan.workers.size()));
  if (steps_ > 0) {
    plan.end = std::min(plan.end, steps_);
    if (plan.end == steps_) end_ = plan.end;
  } else if (plan.epoch + 1 == epochs_) {
    end_ = plan.end;
  }
  planned_samples_ += samples_in(static_cast<std::uint64_t>(plan.end - plan.first), plan.workers.size());
  return &plans_.emplace_back(std::move(plan));
}

std::uint64_t DataPlan::epoch_clocks(std::uint64_t workers) const {
  return ceil_div(aggregate_ ? samples_ : ceil_div(samples_, workers), batch_);
}

std::uint64_t DataPlan::samples_in(std::uint64_t clocks, std::uint64_t workers) const {
  const std::uint64_t most = clocks * batch_;  // of each share
  if (aggregate_) return std::min(samples_, most);
  const std::uint64_t size = samples_ / workers, longer = samples_ % workers;
  return longer * std::min(size + 1, most) + (workers - longer) * std::min(size, most);
}

const EpochPlan& DataPlan::planned(Clock clock) const {
  const EpochPlan* plan = epoch_of(clock);
  RUBATO_CHECK(plan != nullptr, "no plan holds clock {}", clock);
  return *plan;
}

protocol::BatchRange DataPlan::share(const EpochPlan& plan, std::uint32_t rank) const {
  const auto found = std::ranges::lower_bound(plan.workers, rank);
  const auto from = part_from_.find(rank);
  const bool left = from != part_from_.end() && plan.epoch < from->second;
  // It came later, or back.
  if (left || found == plan.workers.end() || *found != rank) return {plan.epoch, 0, 0};
  const auto position = static_cast<std::uint64_t>(found - plan.workers.begin());
  const Part part = rubato::share(samples_, plan.workers.size(), position);
  return {plan.epoch, part.first, part.count};
}

protocol::BatchRange DataPlan::batch(std::uint32_t rank, Clock clock) const {
  const EpochPlan& plan = planned(clock);
  const protocol::BatchRange whole = aggregate_ ? protocol::BatchRange{plan.epoch, 0, samples_} : share(plan, rank);
  const std::uint64_t skipped = std::min(static_cast<std::uint64_t>(clock - plan.first) * batch_, whole.count);
  return {plan.epoch, whole.first + skipped, std::min(batch_, whole.count - skipped)};
}

std::uint64_t DataPlan::total_samples(std::uint64_t workers) const {
  if (end_ || workers == 0) return planned_samples_;
  if (steps_ == 0) return planned_samples_ + (epochs_ - (plans_.empty() ? 0 : plans_.back().epoch + 1)) * samples_;
  const auto left = static_cast<std::uint64_t>(steps_ - (plans_.empty() ? 0 : plans_.back().end));
  const std::uint64_t epoch = epoch_clocks(workers);
  return planned_samples_ + left / epoch * samples_ + samples_in(left % epoch, workers);
}

std::uint64_t DataPlan::samples_before(Clock clock) const {
  RUBATO_CHECK(aggregate_);
  const std::uint64_t epoch = ceil_div(samples_, batch_);
  const auto at = static_cast<std::uint64_t>(clock);
  return at / epoch * samples_ + at % epoch * batch_;
}

std::uint64_t DataPlan::samples_from(std::uint32_t rank, Clock clock) const {
  RUBATO_CHECK(!aggregate_);
  std::uint64_t samples = 0;
  for (const EpochPlan& plan : plans_)
    for (Clock step = std::max(clock, plan.first); step < plan.end; ++step) samples += batch(rank, step).count;
  return samples;
}

void DataPlan::forget_before(Clock clock) {
  while (plans_.size() > 1 && plans_.front().end <= clock) plans_.erase(plans_.begin());
}

}  // namespace rubato::scheduler
