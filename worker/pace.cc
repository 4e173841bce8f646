#include "worker/pace.h"

#include <chrono>
#include <utility>

namespace rubato::worker {

void Pace::pass(ComputeReport report) {
  if (auto* gradient = std::get_if<SliceGradient>(&report)) {
    burden_.spoil(*gradient);
    if (!burden_.slows()) return report_(std::move(report));
    held_.push_back(std::move(report));
    return;
  }
  if (std::holds_alternative<StillComputing>(report)) return report_(report);
  if (auto* computed = std::get_if<StepComputed>(&report)) {
    const auto usual = static_cast<TimeNs>(computed->compute_ns);
    const TimeNs time = std::max(usual, burden_.step_time(usual, computed->clock));
    if (time > usual) sleep(time - usual);
    computed->compute_ns = static_cast<std::uint64_t>(time);
    log_.add(time);
  }
  for (ComputeReport& earlier : std::exchange(held_, {})) report_(std::move(earlier));
  report_(std::move(report));
}

void Pace::sleep(TimeNs time) {
  std::unique_lock lock(mutex_);
  stopping_.wait_for(lock, std::chrono::nanoseconds(time), [this] { return stopped_; });
}

void Pace::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  stopping_.notify_all();
}

}  // namespace rubato::worker
