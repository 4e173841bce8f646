// The weights of a slice at first, and after one update: what a shard does, and what a replay of the run
// (sim/replay) does again. Both call this, so that they do it alike, to the bit.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/job.h"
#include "kernels/rule_config.h"
#include "protocol/manifest.h"

namespace rubato::server {

// As they follow from the job's seed.
void initial_weights(const protocol::SliceSpec& slice, const protocol::Manifest& manifest, std::uint64_t seed,
                     std::span<float> weights);

// What the gradient of a push that is an update of its own is divided by. Usually its samples, so that it counts by
// their mean. A lease has as many samples as its worker computes in a step, and a push counts by them: the mean over
// its n samples has the weight n / train.batch, on the gradient term alone. So there the sum is divided by
// train.batch, however many samples it is over (docs/protocol.md, rule 12).
class PushDivisor {
 public:
  PushDivisor() = default;
  explicit PushDivisor(const Job& job) : batch_(is_leased(job) ? static_cast<std::uint64_t>(job.train.batch) : 0) {}
  [[nodiscard]] std::uint64_t of(std::uint64_t samples) const { return batch_ > 0 ? batch_ : samples; }

 private:
  std::uint64_t batch_ = 0;  // 0: there are no leases
};

struct Update {
  std::span<const float> gradient;  // summed over samples, to be divided by ...
  std::uint64_t samples = 0;        // ... so many, at least one
  double rate = 0.0;
  Version version = 0;  // that the update makes: 1 is the first
};

// Writes into `next` what becomes of `current`. The pieces of a slice share one rule.
void apply_update(const kernels::RuleConfig& rule, const protocol::SliceSpec& slice, const protocol::Manifest& manifest,
                  const Update& update, const kernels::ConstSlotView& current, const kernels::SlotView& next);

}  // namespace rubato::server
