#include "sim/sim_options.h"

namespace rubato::sim {

using transport::Delay;

SimOptions SimOptions::of(const Job& job) {
  const SimulationConfig& simulation = job.simulation;
  const auto microseconds = [](double us) { return static_cast<TimeNs>(us * kMicrosecond); };
  SimOptions options;
  options.seed = job.train.seed;
  options.timing = protocol::timing_of(job);
  options.link.delay =
      Delay::exponential(microseconds(simulation.network_us), microseconds(simulation.network_spread_us));
  options.link.bytes_per_s = simulation.bandwidth_mb_s * 1e6;
  options.link.loss = simulation.loss;
  options.link.duplication = simulation.duplication;
  options.link.reordering = simulation.reordering;
  for (const std::string& text : simulation.faults) options.faults.push_back(parse_fault(text).value());
  for (const std::string& text : simulation.changes) options.changes.push_back(parse_timed_rule_change(text).value());
  return options;
}

}  // namespace rubato::sim
