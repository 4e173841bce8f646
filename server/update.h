// The weights of a slice at first, and after one update: what a shard does, and what a replay of the run
// (sim/replay) does again. Both call this, so that they do it alike, to the bit.
//
// Thread-safety: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/job.h"
#include "kernels/rule_config.h"
#include "kernels/sum_term.h"
#include "kernels/update_device.h"
#include "protocol/manifest.h"

namespace rubato::server {

// The job's rule without what has no effect in its mode: where no gradient has an age, nothing is scaled by it or
// compensated for, and no weights are kept. The job is valid.
[[nodiscard]] kernels::RuleConfig rule_of(const Job& job);

// Where first values come from.
struct FirstValues {
  std::uint64_t seed = 0;
  std::span<const float> given;  // of all parameters, in the manifest's order; none: they are drawn from the seed
};

// Whether as many are given as the manifest has, of a job whose weights are `pretrained`. Errors: kData.
[[nodiscard]] Status check_given(bool pretrained, const protocol::Manifest& manifest, std::span<const float> given);

void initial_weights(const protocol::SliceSpec& slice, const protocol::Manifest& manifest, const FirstValues& first,
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

// What one push, or the aggregate of a clock, brings to an update. A delta stands where a gradient's sum does.
struct Contribution {
  // Their sum is the gradient. More than one: of an aggregate, which stands alone and is not compensated.
  std::span<const kernels::SumTerm> terms;
  std::uint64_t samples = 0;    // over which it is summed, at least one
  std::uint64_t divisor = 0;    // by which the sum is divided: usually the samples
  Version age = 0;              // updates since the version that it was computed on
  std::span<const float> read;  // that version's weights; empty unless the rule compensates
};

struct Update {
  std::span<const Contribution> contributions;  // at least one; they are added up in this order
  double rate = 0.0;
  Version version = 0;  // that the update makes: 1 is the first
};

// Writes into `next` what becomes of `current`. The pieces of a slice share one rule. With divisor n, age factor a
// (RuleConfig::age_factor) and gradient sum G of each contribution, compensated one by one:
//   the gradient that the rule takes, and clips   sum(a G) / sum(a n)
//   the factor of its rate                        sum(a n) / sum(n)
// so that in rules that are linear in the gradient each one has the rate that its own age leaves it, as in Zhang et al.
// 2016, equations 2 and 3: rate / c * sum(a g), for c pushes of equally many samples.
//
// An outer rule takes deltas: their mean, weighted by n, which is sum(n / sum(n) G).
//
// All of it in one pass: gradients are added up a block at a time, and whether they are finite shows on the way.
// False: they are not, or their sum is not. What is in `next` then is of no use. `traffic` as kernels/cpu/apply_rule.h
// has it.
[[nodiscard]] bool apply_update(const kernels::RuleConfig& rule, const protocol::SliceSpec& slice,
                                const protocol::Manifest& manifest, const Update& update,
                                const kernels::ConstSlotView& current, const kernels::SlotView& next,
                                std::size_t traffic = 0);

// The same, and the same bits, on a device where the slice's newest version lies. Errors: kDevice.
[[nodiscard]] Result<bool> apply_update(const kernels::RuleConfig& rule, const protocol::SliceSpec& slice,
                                        const protocol::Manifest& manifest, const Update& update,
                                        kernels::DeviceSlice& current, const kernels::SlotView& next);

}  // namespace rubato::server
