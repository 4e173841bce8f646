// The inner optimizer of local steps (mode local:H): the job's [optimizer], applied by a worker to its own copy of
// the weights, slice by slice, by the same update rules as a server's.
//
// Its state (momentum, moments, Adam's count of updates) is the worker's own: it stays from clock to clock, and is
// gone with the worker. A slice whose delta is not finite, which no server takes, starts anew with it: otherwise
// all that followed would not be finite either.
//
// Thread-safety: immutable; a state belongs to whoever computes that worker's steps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/job.h"
#include "base/parameter.h"
#include "kernels/rule_config.h"
#include "protocol/manifest.h"

namespace rubato::worker {

// Nothing before the first local step.
struct InnerState {
  struct Slice {
    std::vector<float> planes;  // of the rule, end to end
    std::uint64_t updates = 0;  // since it started, or started anew
  };
  std::vector<Slice> slices;
};

class InnerOptimizer {
 public:
  // Of its state, beside the weights. The job is valid.
  [[nodiscard]] static std::size_t planes(const Job& job);
  InnerOptimizer(const Job& job, const protocol::Manifest& manifest, const protocol::RoutingTable& routing);

  // Writes into `next` what becomes of `current` under one step by a gradient summed over so many samples.
  void update(InnerState& state, SliceId slice, double rate, std::span<const float> gradient, std::uint64_t samples,
              std::span<const float> current, std::span<float> next) const;

  // Writes pulled - local, what a clock's steps have come to.
  void write_delta(InnerState& state, SliceId slice, std::span<const float> pulled, std::span<const float> local,
                   std::span<float> delta) const;

 private:
  const kernels::RuleConfig rule_;
  std::vector<ParameterSpec> specs_;  // by slice: its pieces share one rule
};

}  // namespace rubato::worker
