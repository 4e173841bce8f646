// The processes of one measurement: a doorman in the scheduler's place, shards, and workers that push.
//
// Workers begin every round together; before it, while all of them wait, the first one measures the limits, on all
// cores, also where it is pinned to one.
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
  std::vector<int> cores;  // to pin processes to; none: each runs wherever the system puts it
  std::uint64_t job_id = 0;
  std::int64_t scheduler_port = 0;  // over tcp
  std::vector<pid_t> servers;
  FarEnds far_ends;
  std::unique_ptr<SharedBarrier> barrier;  // of the workers

  // Counted through, shards before workers: with as many cores as processes each has one of its own, and with fewer
  // they take turns. Empty if nothing is pinned.
  [[nodiscard]] std::vector<int> core_of(NodeId node) const {
    if (cores.empty()) return {};
    return {cores[(node.role == Role::kServer ? node.rank : test.shards + node.rank) % cores.size()]};
  }
};

int keep_door(const Stage& stage);
int serve(const Stage& stage, std::uint32_t rank);
// Writes what it measured to the file `results`, as one JSON object: "rounds", and of the first worker "limits".
int push(const Stage& stage, std::uint32_t rank, int results);

}  // namespace rubato::bench
