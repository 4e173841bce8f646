// sim_train JOB.toml DIR [key=value ...]: runs a job with its real model and data in the simulated
// network, and prints weights_sha256 of the final weights, as RUN/metrics.jsonl of real processes has it.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sim/sim_job.h"
#include "sim/trainer_workload.h"

namespace rubato::sim {
namespace {

Result<std::string> run(int argc, char** argv) {
  Overrides overrides;
  for (int i = 3; i < argc; ++i) {
    RUBATO_ASSIGN(Override override, parse_override(argv[i]));
    overrides.push_back(std::move(override));
  }
  RUBATO_ASSIGN(const Job job, load_job(argv[1], overrides));
  RUBATO_ASSIGN(auto workload, TrainerWorkload::open(job, argv[2]));
  SimJob sim(job, {}, *workload);
  const SimResult result = sim.run(3600 * kSecond);
  if (!result.over || result.exit_code != 0)
    return Error{Cause::kInternal,
                 fmt::format("the job ended with code {}: {} {}", result.exit_code, result.text, result.unfinished)};
  return nlohmann::json::parse(result.metrics.back()).at("weights_sha256").get<std::string>();
}

}  // namespace
}  // namespace rubato::sim

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: sim_train JOB.toml DIR [key=value ...]\n");
    return static_cast<int>(rubato::Cause::kUsage);
  }
  const auto hash = rubato::sim::run(argc, argv);
  if (!hash.ok()) {
    fmt::print(stderr, "sim_train: {}\n", hash.error().message);
    return hash.error().exit_code();
  }
  fmt::print("{}\n", *hash);
  return 0;
}
