// The weights of a slice at first, and after one update: what a shard does, and what a replay of the run
// (sim/replay) does again. Both call this, so that they do it alike, to the bit.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>
#include <span>

#include "base/ids.h"
#include "kernels/rule_config.h"
#include "protocol/manifest.h"

namespace rubato::server {

// As they follow from the job's seed.
void initial_weights(const protocol::SliceSpec& slice, const protocol::Manifest& manifest, std::uint64_t seed,
                     std::span<float> weights);

struct Update {
  std::span<const float> gradient;  // summed over ...
  std::uint64_t samples = 0;        // ... so many, at least one
  double rate = 0.0;
  Version version = 0;  // that the update makes: 1 is the first
};

// Writes into `next` what becomes of `current`. The pieces of a slice share one rule.
void apply_update(const kernels::RuleConfig& rule, const protocol::SliceSpec& slice, const protocol::Manifest& manifest,
                  const Update& update, const kernels::ConstSlotView& current, const kernels::SlotView& next);

}  // namespace rubato::server
