// RUN/steps/worker-N.csv: how long each of a worker's steps took to compute, waiting for weights apart, a
// line `N,milliseconds` each. `cat RUN/steps/*.csv` is a trace for worker.stragglers (base/stragglers.h).
//
// Lines are written as the buffer fills and when the worker ends in order: of one that is killed the last
// few are missing. That a disk is full is not said here; whoever writes something that matters says it.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace rubato::worker {

class StepLog {
 public:
  // Errors: kStorage.
  [[nodiscard]] static Result<StepLog> create(const std::string& run_dir, std::uint32_t rank);

  void add(TimeNs step);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  StepLog(std::uint32_t rank, std::FILE* file) : rank_(rank), file_(file) {}

  std::uint32_t rank_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace rubato::worker
