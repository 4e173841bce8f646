#include "scheduler/leases.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace rubato::scheduler {
namespace {

// Steps may be as many as one likes, in a job that somebody will end.
constexpr std::uint64_t kTotalMax = std::uint64_t{1} << 62;

std::uint64_t work(const TrainConfig& train, std::int64_t workers, std::uint64_t epoch_samples) {
  if (train.steps == 0) return static_cast<std::uint64_t>(train.epochs) * epoch_samples;
  const auto a_round = static_cast<std::uint64_t>(workers * train.batch);
  return std::min(static_cast<std::uint64_t>(train.steps), kTotalMax / a_round) * a_round;
}

}  // namespace

Leases::Leases(const TrainConfig& train, std::int64_t workers, std::uint64_t epoch_samples)
    : epoch_samples_(epoch_samples), total_(work(train, workers, epoch_samples)) {
  RUBATO_CHECK(epoch_samples_ > 0 && total_ > 0);
}

std::optional<protocol::BatchRange> Leases::deal(std::uint32_t rank, Clock clock, std::uint64_t most) {
  RUBATO_CHECK(most > 0 && !held_.contains({rank, clock}), "a lease of {} samples for step {} of worker-{}", most,
               clock, rank);
  if (dealt_out()) return std::nullopt;
  protocol::BatchRange lease;
  if (!returned_.empty()) {
    const auto [from, count] = *returned_.begin();
    lease = {from.first, from.second, std::min(count, most)};
    returned_.erase(returned_.begin());
    if (lease.count < count) returned_[{lease.epoch, lease.first + lease.count}] = count - lease.count;
  } else {
    const std::uint64_t epoch = next_ / epoch_samples_, first = next_ % epoch_samples_;
    lease = {epoch, first, std::min(size(epoch) - first, most)};
    next_ += lease.count;
  }
  held_[{rank, clock}] = lease;
  return lease;
}

protocol::BatchRange Leases::take(Step step) {
  const auto held = held_.find(step);
  RUBATO_CHECK(held != held_.end(), "worker-{} holds no lease for step {}", step.first, step.second);
  const protocol::BatchRange lease = held->second;
  held_.erase(held);
  return lease;
}

void Leases::settle(std::uint32_t rank, Clock clock) {
  const protocol::BatchRange lease = take({rank, clock});
  settled_[lease.epoch] += lease.count;
}

std::uint64_t Leases::give_back(std::uint32_t rank, Clock clock) {
  const protocol::BatchRange lease = take({rank, clock});
  returned_[{lease.epoch, lease.first}] = lease.count;
  return lease.count;
}

void Leases::give_back_all(std::uint32_t rank) {
  for (auto held = held_.lower_bound({rank, 0}); held != held_.end() && held->first.first == rank;
       held = held_.lower_bound({rank, 0}))
    give_back(rank, held->first.second);
}

std::uint64_t Leases::size(std::uint64_t epoch) const {
  return std::min(epoch_samples_, total_ - std::min(epoch * epoch_samples_, total_));
}

std::uint64_t Leases::settled(std::uint64_t epoch) const {
  const auto found = settled_.find(epoch);
  return found == settled_.end() ? 0 : found->second;
}

}  // namespace rubato::scheduler
