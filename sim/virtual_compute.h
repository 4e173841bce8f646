// The compute thread of a simulated worker or evaluator: takes the client's orders, waits for the weights
// that a step needs, lets a Computer do the work at once, and hands over its reports as a thread would
// that takes its time: gradients one after the other over the last two thirds of the step (backward), deltas of
// local steps over those of the last one, the rest at its end.
//
// Thread-safety: belongs to the thread of its process.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "sim/computer.h"
#include "sim/profile.h"
#include "sim/sim_process.h"

namespace rubato::sim {

class VirtualCompute {
 public:
  using Duration = std::function<TimeNs(const worker::ComputeOrder&)>;  // of the work that begins now
  using Report = std::function<void(worker::ComputeReport)>;

  // `process` outlives it, and `profile`, if there is one.
  VirtualCompute(SimProcess& process, std::unique_ptr<Computer> computer, std::size_t slices, Profile* profile,
                 Duration duration, Report report)
      : process_(process),
        computer_(std::move(computer)),
        slices_(slices),
        profile_(profile),
        duration_(std::move(duration)),
        report_(std::move(report)) {}

  void take(std::vector<worker::ComputeOrder> orders);

 private:
  struct Work {
    std::vector<worker::ComputeOrder> orders;
    std::size_t missing = 0;  // weights
    TimeNs since = 0;         // nothing stands before it but missing weights
  };

  void take(worker::ComputeOrder order);
  void begin_if_possible();
  void finish();

  SimProcess& process_;
  std::unique_ptr<Computer> computer_;
  std::size_t slices_;
  Profile* profile_;
  Duration duration_;
  Report report_;
  std::deque<Work> queue_;
  bool busy_ = false;
  bool stopped_ = false;
};

}  // namespace rubato::sim
