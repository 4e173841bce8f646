// What computes in a simulated job, behind the same orders and reports as a real trainer
// (worker/compute_port.h). The quadratic of quadratic_workload.h is one; a real trainer fits too.
//
// Thread-safety: a workload and its computers belong to the thread of their SimJob.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "protocol/initial_weights.h"
#include "protocol/manifest.h"
#include "worker/compute_port.h"

namespace rubato::sim {

// The compute side of one worker or evaluator.
class Computer {
 public:
  virtual ~Computer() = default;

  // After the Welcome, before the first order.
  virtual void set_routing(const protocol::RoutingTable& routing) = 0;

  // One piece of work, with everything that it will ask for: a ComputeStep and behind it the weights of
  // every slice (or none, where `more_of_same`), or an EvaluateWeights. Returns what there is to report,
  // in order; it takes no virtual time.
  [[nodiscard]] virtual std::vector<worker::ComputeReport> compute(std::vector<worker::ComputeOrder> orders) = 0;
};

// What a job trains: what members register with, and their computers.
class Workload {
 public:
  virtual ~Workload() = default;
  [[nodiscard]] virtual protocol::Manifest manifest() const = 0;
  [[nodiscard]] virtual std::string data_fingerprint() const = 0;
  [[nodiscard]] virtual std::uint64_t train_samples() const = 0;
  // What parameters begin with where the job's are not drawn.
  [[nodiscard]] virtual protocol::InitialWeights initial_weights() const { return {}; }
  [[nodiscard]] virtual std::unique_ptr<Computer> make_computer(NodeId member) = 0;
};

}  // namespace rubato::sim
