// The run directory of a simulated job: what a real run leaves there (docs/running.md), but for what only
// processes have. job.toml first, metrics.jsonl as it comes, logs/simulation.log with what every member had
// to say at which virtual time, and trace/NODE.jsonl with debug.trace. (The evaluator writes the rest.)
//
// What is in these files is a function of the job alone: no time of day, no path.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/job.h"
#include "scheduler/run_files.h"
#include "sim/sim_result.h"

namespace rubato::sim {

class RunOutput {
 public:
  // Makes the directory and writes job.toml. `asked`: an empty directory, or one to be made; without it,
  // runs/NAME-DATE-TIME for runs of `job_file`. Errors: kUsage where there is something in it, kStorage.
  [[nodiscard]] static Result<RunOutput> open(const std::string& asked, const std::string& job_file, const Job& job);

  void metric(const nlohmann::ordered_json& line);
  void note(const SimNote& note);
  void trace(NodeId node, const std::string& line);

  [[nodiscard]] const std::string& path() const { return path_; }
  // The first error of metric() and trace(): the run is not recorded as it should be.
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;

  RunOutput(std::string path, scheduler::RunFiles files, File log)
      : path_(std::move(path)), files_(std::move(files)), log_(std::move(log)) {}

  std::string path_;
  scheduler::RunFiles files_;
  File log_;
  std::map<NodeId, File> traces_;
  Status status_;
};

}  // namespace rubato::sim
