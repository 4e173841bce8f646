#include "scheduler/lease_sizes.h"

#include <algorithm>
#include <cmath>

#include "base/job.h"

namespace rubato::scheduler {
namespace {

constexpr double kNewest = 0.2, kStepMax = 0.25;
constexpr double kParts = 16.0;  // of a batch

}  // namespace

void LeaseSizes::gone(std::uint32_t worker) {
  const auto found = paces_.find(worker);
  speeds_ -= found->second.speed();
  known_ -= found->second.sample_ns > 0.0 ? 1 : 0;
  if (known_ == 0) speeds_ = 0.0;  // what rounding has left
  paces_.erase(found);
}

void LeaseSizes::computed(std::uint32_t worker, std::uint64_t samples, TimeNs time) {
  if (samples == 0 || time <= 0) return;
  Pace& pace = paces_.at(worker);
  const double sample_ns = static_cast<double>(time) / static_cast<double>(samples);
  speeds_ -= pace.speed();
  known_ += pace.sample_ns > 0.0 ? 0 : 1;
  pace.sample_ns = pace.sample_ns > 0.0 ? (1.0 - kNewest) * pace.sample_ns + kNewest * sample_ns : sample_ns;
  speeds_ += pace.speed();
  const double wanted = batch_ * pace.speed() * static_cast<double>(known_) / speeds_;
  const double near = std::clamp(wanted, (1.0 - kStepMax) * pace.size, (1.0 + kStepMax) * pace.size);
  pace.size = std::clamp(near, 1.0, static_cast<double>(kLeaseBatchesMax) * batch_);
}

std::uint64_t LeaseSizes::size(std::uint32_t worker) const {
  const double size = paces_.at(worker).size, part = std::max(1.0, std::floor(batch_ / kParts));
  const double parts = std::round(size / part) * part;
  const double most = static_cast<double>(kLeaseBatchesMax) * batch_;
  return static_cast<std::uint64_t>(std::clamp(parts > 0.0 ? parts : std::round(size), 1.0, most));
}

}  // namespace rubato::scheduler
