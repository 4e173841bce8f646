// One measurement of bench/push_pull: which lane, how large, how many.
//
// Thread-safety: a plain value.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "base/job.h"
#include "bench/pusher.h"
#include "protocol/manifest.h"

namespace rubato::bench {

// Shards that read what is pushed and answer, and apply nothing.
inline constexpr const char* kNoRule = "none";

struct Case {
  std::string lane = "shm", rule = "momentum", mode = "asp";
  std::size_t model_mib = 64;
  std::int64_t slice_bytes = 1 << 20;
  std::uint32_t workers = 1, shards = 1;
  bool warm = false;  // the caches are left as the round before leaves them
  PusherOptions pusher;

  [[nodiscard]] bool has_rule() const { return rule != kNoRule; }
  [[nodiscard]] bool in_bsp() const { return mode == "bsp"; }
  // Gradients of a slice that one update takes: in bsp a leaf of each worker.
  [[nodiscard]] std::size_t terms() const { return in_bsp() ? workers : 1; }
  [[nodiscard]] double gigabytes() const { return static_cast<double>(model_mib << 20) * 1e-9; }  // of one gradient
  [[nodiscard]] std::string name() const {
    const char* touched = pusher.write ? "/written,read" : pusher.read ? "/read" : "";
    return fmt::format("{}/{}{}/{}MiB/{}KiB/{}w{}s{}", lane, in_bsp() ? "bsp/" : "", rule, model_mib,
                       static_cast<double>(slice_bytes) / 1024, workers, shards, touched);
  }

  [[nodiscard]] Job job() const {
    Job job;
    job.model.name = "quadratic";
    job.data.kind = "synthetic";
    if (has_rule()) job.optimizer.name = rule;
    job.consistency.mode = mode;
    job.train.micro_batches = in_bsp() ? workers : 1;
    job.cluster.workers = workers;
    job.cluster.servers = shards;
    job.cluster.slice_bytes = slice_bytes;
    job.cluster.transport = lane == "tcp" ? "tcp" : "ipc";
    job.cluster.shared_memory = lane == "shm";
    return job;
  }
  [[nodiscard]] protocol::Manifest manifest() const {
    ParameterSpec weights;
    weights.name = "weights";
    weights.shape = {static_cast<std::int64_t>(model_mib << 18)};
    return {weights};
  }
  [[nodiscard]] std::vector<protocol::SliceSpec> slices() const {
    return protocol::cut_slices(manifest(), static_cast<std::uint64_t>(slice_bytes), shards);
  }
};

}  // namespace rubato::bench
