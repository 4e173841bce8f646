// The command line that servers and workers share, and what follows from it.
#pragma once

#include <cstdint>
#include <string>

#include "base/job.h"
#include "protocol/process.h"

namespace CLI {
class App;
}

namespace rubato::protocol {

struct MemberOptions {
  std::string job_file, run_dir, scheduler;
  std::uint32_t rank = 0;
  int lifeline = -1;
  std::string log_level = "info";
};

void add_member_options(CLI::App& app, MemberOptions& options);

// This process's registration, without what depends on the role.
[[nodiscard]] Register registration(const Job& job);

}  // namespace rubato::protocol
