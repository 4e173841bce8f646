#include "sim/virtual_compute.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace rubato::sim {

using worker::ComputeOrder;
using worker::ComputeReport;

void VirtualCompute::take(std::vector<ComputeOrder> orders) {
  for (ComputeOrder& order : orders) take(std::move(order));
  begin_if_possible();
}

void VirtualCompute::take(ComputeOrder order) {
  if (stopped_) return;
  if (std::holds_alternative<worker::StopComputing>(order)) {
    stopped_ = true;
    return;
  }
  if (const auto* weights = std::get_if<worker::SliceWeights>(&order)) {
    const auto work = std::ranges::find_if(queue_, [&](const Work& waiting) {
      const auto* step = std::get_if<worker::ComputeStep>(&waiting.orders.front());
      return step != nullptr && step->step.clock == weights->clock && waiting.missing > 0;
    });
    RUBATO_CHECK(work != queue_.end(), "weights for clock {}, which no order is for", weights->clock);
    work->orders.push_back(std::move(order));
    --work->missing;
    return;
  }
  const auto* step = std::get_if<worker::ComputeStep>(&order);
  const std::size_t missing = step != nullptr && !step->more_of_same ? slices_ : 0;
  Work work{{}, missing, process_.now()};
  work.orders.push_back(std::move(order));
  queue_.push_back(std::move(work));
}

void VirtualCompute::begin_if_possible() {
  if (stopped_ || busy_ || queue_.empty() || queue_.front().missing > 0) return;
  busy_ = true;
  Work work = std::move(queue_.front());
  queue_.pop_front();
  const TimeNs now = process_.now(), duration = duration_(work.orders.front());
  const bool evaluates = std::holds_alternative<worker::EvaluateWeights>(work.orders.front());
  std::vector<ComputeReport> reports;
  {
    const Profile::Scope scope(profile_, evaluates ? Profile::Activity::kEvaluation : Profile::Activity::kGradients);
    reports = computer_->compute(std::move(work.orders));
  }

  const auto gradients = std::ranges::count_if(
      reports, [](const ComputeReport& report) { return std::holds_alternative<worker::SliceGradient>(report); });
  std::int64_t at = 0;
  for (ComputeReport& report : reports) {
    TimeNs time = now + duration;
    if (const auto* gradient = std::get_if<worker::SliceGradient>(&report)) {
      const TimeNs backward = 2 * (duration / 3) / std::max(gradient->local_steps, 1U);
      time = now + 3 * (duration / 3) - backward + backward * ++at / gradients;
    } else if (auto* computed = std::get_if<worker::StepComputed>(&report))
      computed->blocked_ns = static_cast<std::uint64_t>(now - work.since);
    process_.at(time, [this, report = std::make_shared<ComputeReport>(std::move(report))] {
      if (!stopped_) report_(std::move(*report));
    });
  }
  process_.at(now + duration, [this] { finish(); });
}

void VirtualCompute::finish() {
  busy_ = false;
  if (!queue_.empty()) queue_.front().since = std::max(queue_.front().since, process_.now());
  begin_if_possible();
}

}  // namespace rubato::sim
