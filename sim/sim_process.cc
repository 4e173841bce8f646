#include "sim/sim_process.h"

#include <utility>

#include "base/check.h"

namespace rubato::sim {

SimProcess::SimProcess(transport::SimNetwork& network, std::string host, std::uint64_t job_id,
                       protocol::NodeListener& listener, protocol::NodeOptions options)
    : network_(network), host_(std::move(host)), endpoint_(network.endpoint(host_)) {
  const protocol::Environment environment{[this] { return network_.now(); }, [this](TimeNs time) { arm(time); }};
  node_ = std::make_unique<protocol::Node>(*endpoint_, job_id, environment, listener, options);
  const auto listening = endpoint_->listen(address(host_));
  RUBATO_CHECK(listening.ok(), "{}", listening.error().message);
}

void SimProcess::at(TimeNs time, std::function<void()> what) {
  network_.schedule(time, [this, what = std::move(what)]() mutable {
    if (paused())
      held_.push_back(std::move(what));
    else if (alive_)
      what();
  });
}

// A timer that was set for an earlier time than is wanted now fires for nothing and is set again: cheaper
// than one event for every change of mind.
void SimProcess::arm(TimeNs deadline) {
  armed_ = deadline;
  if (deadline >= timer_) return;
  timer_ = deadline;
  at(deadline, [this, deadline] { timer_fired(deadline); });
}

void SimProcess::timer_fired(TimeNs due) {
  if (due != timer_) return;  // an earlier one was set after this one, and has fired
  timer_ = kNever;
  if (armed_ <= now())
    node_->wake();
  else
    arm(armed_);
}

void SimProcess::resume() {
  if (!paused()) return;
  network_.resume(host_);  // schedules what was sent to it
  for (auto& what : std::exchange(held_, {}))
    if (alive_) what();
}

void SimProcess::kill() {
  if (!alive_) return;
  alive_ = false;
  held_.clear();
  network_.kill(host_);
}

}  // namespace rubato::sim
