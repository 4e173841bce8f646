// `rubato-sim --replay RUN`: repeats a recorded run from RUN/job.toml and RUN/record, and compares what comes
// out with what the run left, bit for bit. Writes RUN/replay/final.safetensors.
//
// Thread-safety: one replay of a run at a time.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace rubato::sim {

struct ReplayVerdict {
  bool identical = false;  // as far as the record goes
  std::string text;        // for people: one line, and indented ones
};

// `say` is given lines for people on the way. Errors: those of the job file, data, model and record.
[[nodiscard]] Result<ReplayVerdict> replay(const std::string& run_dir,
                                           const std::function<void(const std::string&)>& say);

}  // namespace rubato::sim
