// A process in the simulation: a host of the simulated network with a Node and its cores, and timers in
// virtual time.
//
// While it is stopped nothing of it happens; what was due happens when it goes on, before it hears what
// was sent to it meanwhile: the worse of the two orders. Once it is dead nothing of it happens any more.
//
// Thread-safety: belongs to the thread of its network. It outlives every event of the network that it asked for: keep
// it until the network has stopped.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/node.h"
#include "transport/sim/sim_network.h"

namespace rubato::sim {

class SimProcess {
 public:
  SimProcess(transport::SimNetwork& network, std::string host, std::uint64_t job_id, protocol::NodeListener& listener,
             protocol::NodeOptions options);
  SimProcess(const SimProcess&) = delete;
  SimProcess& operator=(const SimProcess&) = delete;

  [[nodiscard]] protocol::Node& node() { return *node_; }
  [[nodiscard]] const std::string& host() const { return host_; }
  [[nodiscard]] TimeNs now() const { return network_.now(); }
  [[nodiscard]] static std::string address(const std::string& host) { return "sim://" + host; }

  // Calls `what` at that time, or later if the process is stopped then, or never if it is dead.
  void at(TimeNs time, std::function<void()> what);

  void pause() { network_.pause(host_); }
  void resume();
  void kill();
  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] bool paused() const { return alive_ && network_.paused(host_); }

 private:
  void arm(TimeNs deadline);
  void timer_fired(TimeNs due);

  transport::SimNetwork& network_;
  const std::string host_;
  std::unique_ptr<transport::Endpoint> endpoint_;
  std::unique_ptr<protocol::Node> node_;
  std::vector<std::function<void()>> held_;  // due while stopped
  TimeNs armed_ = kNever;                    // what the node wants
  TimeNs timer_ = kNever;                    // the earliest timer that is set
  bool alive_ = true;
};

}  // namespace rubato::sim
