#include "protocol/member_options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <random>

namespace rubato::protocol {

void add_member_options(CLI::App& app, MemberOptions& options) {
  app.add_option("--job", options.job_file, "the resolved job.toml of the run directory")->required();
  app.add_option("--run-dir", options.run_dir, "where logs, metrics and weights go")->required();
  app.add_option("--scheduler", options.scheduler, "the \"endpoint\" in RUN/scheduler.json, as it stands there")
      ->required();
  app.add_option("--rank", options.rank, "which of its kind this one is, from 0")->required();
  app.add_option("--lifeline", options.lifeline, "a pipe's read end; this process ends when the other end closes");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")->capture_default_str();
}

Register registration(const Job& job) {
  Register details;
  std::random_device random;
  details.nonce = static_cast<std::uint64_t>(random()) << 32 | random();
  details.pid = static_cast<std::uint32_t>(::getpid());
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  details.host = host.data();
  details.job_hash = job_hash(job);
  return details;
}

}  // namespace rubato::protocol
