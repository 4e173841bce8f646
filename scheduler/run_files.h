// The files that a scheduler keeps while a job runs: RUN/scheduler.json (how to reach it),
// RUN/metrics.jsonl (its one writer), and the entry in the user's list of running jobs.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace rubato::scheduler {

// $XDG_RUNTIME_DIR/rubato: made, if it is not there, for this user alone. Where there is no such variable, or it
// names no folder that will do (which is said as a warning), /tmp/rubato-UID.
[[nodiscard]] Result<std::string> running_jobs_dir();

class RunFiles {
 public:
  // Errors: kStorage.
  [[nodiscard]] static Result<RunFiles> open(const std::string& run_dir);
  RunFiles(RunFiles&&) = default;
  ~RunFiles();

  // How to reach the job: {"endpoint", "http", "pid", "job_id", "token", "run_dir", "started"}.
  [[nodiscard]] Status announce(const nlohmann::ordered_json& contact);
  // One line of metrics.jsonl. Errors: kStorage (the disk is full).
  [[nodiscard]] Status write(const nlohmann::ordered_json& line);

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit RunFiles(std::string run_dir) : run_dir_(std::move(run_dir)) {}

  std::string run_dir_, entry_;
  std::unique_ptr<std::FILE, CloseFile> metrics_;
};

}  // namespace rubato::scheduler
