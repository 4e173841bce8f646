// The processes of one measurement: a doorman in the scheduler's place, shards, and workers that push.
//
// Workers begin every round together; before it, while all of them wait, the first one measures the limits.
//
// Thread-safety: each function is a process of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/limits.h"
#include "bench/push_pull_case.h"

namespace rubato::bench {

// A barrier in memory that processes made by fork() share.
class SharedBarrier {
 public:
  explicit SharedBarrier(unsigned int processes);
  ~SharedBarrier();
  SharedBarrier(const SharedBarrier&) = delete;
  SharedBarrier& operator=(const SharedBarrier&) = delete;
  void wait() const;

 private:
  struct Memory;
  Memory* memory_;
};

struct Stage {
  Case test;
  std::uint64_t job_id = 0;
  std::int64_t scheduler_port = 0;  // over tcp
  std::vector<pid_t> servers;
  FarEnds far_ends;
  std::unique_ptr<SharedBarrier> barrier;  // of the workers
};

int keep_door(const Stage& stage);
int serve(const Stage& stage, std::uint32_t rank);
// Writes what it measured to the file `results`, as one JSON object: "rounds", and of the first worker "limits".
int push(const Stage& stage, std::uint32_t rank, int results);

}  // namespace rubato::bench
