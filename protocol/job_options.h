// The options by which a job file's keys are set from a command line, the same in every program that reads one.
//
// Thread-safety: plain values.
#pragma once

#include <string>
#include <vector>

#include "base/job.h"

namespace CLI {
class App;
}

namespace rubato::protocol {

struct JobOptions {
  std::vector<std::string> sets;
  Overrides shorthands;  // the keys that have an option of their own

  // Shorthands come last and win. Errors: kUsage, for what is no key=value.
  [[nodiscard]] Result<Overrides> overrides() const;
};

// --set, --servers, --workers, --mode, --seed. `options` outlives the parsing.
void add_job_options(CLI::App& app, JobOptions& options);

}  // namespace rubato::protocol
