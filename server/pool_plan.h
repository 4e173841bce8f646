// Which pools of slots a shard makes, from the job and the placement of its slices alone: so what they take is known
// before there is any (sim/memory_estimate.h), and a shard makes what was said.
//
// Thread-safety: immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

#include "base/job.h"
#include "kernels/rule_config.h"
#include "protocol/manifest.h"
#include "server/slot.h"

namespace rubato::server {

struct PoolPlan {
  kernels::SliceShape shape;
  SlotPool::Bounds bounds;
};

class PoolPlanner {
 public:
  // The job is valid: its mode and optimizer are known.
  explicit PoolPlanner(const Job& job);

  // Of one shard, by the number of elements of its slices.
  [[nodiscard]] std::map<std::size_t, PoolPlan> pools(std::uint32_t shard,
                                                      std::span<const protocol::SliceSpec> slices) const;

  // Workers whose marks are kept with each slice; none in an aggregate.
  [[nodiscard]] std::uint32_t marks() const { return marks_; }
  // Pushes of a slice that wait for a commit: more than workers who keep to the protocol have.
  [[nodiscard]] std::size_t accepted_max() const { return accepted_max_; }

 private:
  const kernels::RuleConfig rule_;
  const std::size_t readers_;
  const std::uint32_t marks_;
  const std::size_t accepted_max_;
  const std::size_t kept_;  // versions that a slice keeps of its own accord
};

}  // namespace rubato::server
