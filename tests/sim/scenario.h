// What a seed brings: a small job on the quadratic, with the network and the faults that it has to stand.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/job.h"
#include "sim/sim_options.h"

namespace rubato::sim {

struct Scenario {
  Job job;
  SimOptions options;
  std::string what;    // one line for people
  std::string victim;  // the worker that is killed, stopped or cut off; or nobody
  bool drained = false;
  bool crashed = false;    // a server, which comes back: unless training had not begun
  std::string group;       // of runs of which the checker has to know the same ...
  nlohmann::json setting;  // ... which is this
};

[[nodiscard]] Scenario make_scenario(std::uint64_t seed);

}  // namespace rubato::sim
