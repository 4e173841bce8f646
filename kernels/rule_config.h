// Which update rule a job uses, with its constants; what one update of one piece of a slice is given;
// and the view of a slot that an update reads or writes.
//
// A slot holds a slice's weights and, beside them, the state planes of the rule (momentum, Adam's
// moments) and, where compensation is adaptive, the mean square of gradients; each as long as the weights
// and all zero before the first update. A job may keep a moving average of the weights as well, which begins
// as they do. An update reads one slot and writes another, or the same.
//
// Thread-safety: plain values; the views borrow.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/parameter.h"
#include "base/result.h"
#include "kernels/update_rule.h"

namespace rubato {
struct OptimizerConfig;
struct Job;
}  // namespace rubato

namespace rubato::kernels {

enum class RuleKind : std::uint8_t {
  kSgd = 0,
  kMomentum = 1,
  kNesterov = 2,
  kAdam = 3,
  kAdamW = 4,
  kDelayedNesterov = 5
};

enum class CompensationKind : std::uint8_t { kNone = 0, kConstant = 1, kAdaptive = 2 };

// kernels/gradient_part.h has the formulas.
struct Compensation {
  CompensationKind kind = CompensationKind::kNone;
  double lambda = 0.0;
  double decay = 0.95;  // adaptive
  friend bool operator==(const Compensation&, const Compensation&) = default;
};

struct RuleConfig {
  RuleKind kind = RuleKind::kSgd;
  double momentum = 0.9;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0.0;
  double clip_value = 0.0;  // 0: no clipping
  bool age_scaling = false;
  Compensation compensation{};

  [[nodiscard]] bool compensates() const { return compensation.kind != CompensationKind::kNone; }
  [[nodiscard]] bool keeps_mean_square() const { return compensation.kind == CompensationKind::kAdaptive; }
  // By what the rate of a gradient of this age is multiplied: 1 / max(1, age), where ages count.
  [[nodiscard]] double age_factor(std::uint64_t age) const {
    return age_scaling && age > 1 ? 1.0 / static_cast<double>(age) : 1.0;
  }
  // Of an outer rule, which takes deltas: whatever the schedule and the parameter's factor are.
  std::optional<double> own_rate = std::nullopt;
  std::int64_t delay = 1;  // delayed Nesterov: N and c
  double spread = 0.0;
  double average_decay = 0.0;  // of the moving average of the weights; 0: none is kept

  [[nodiscard]] bool keeps_average() const { return average_decay > 0.0; }
  [[nodiscard]] bool outer() const { return own_rate.has_value(); }
  friend bool operator==(const RuleConfig&, const RuleConfig&) = default;
};

// How many state planes the rule keeps beside the weights: 0, 1 (momentum, nesterov) or 2 (the others).
[[nodiscard]] std::size_t state_planes(RuleKind kind);
[[nodiscard]] std::string_view rule_name(RuleKind kind);

// Errors: kUsage, for an unknown name or a constant out of the rule's range.
[[nodiscard]] Result<RuleConfig> make_rule(const OptimizerConfig& optimizer);
// By which the servers of a valid job update: the optimizer's, or, in local:H, the outer one.
[[nodiscard]] RuleConfig server_rule(const Job& job);

// By which a piece of `spec` is updated in a job under `rule`: by that, unless it is a running mean
// (ParameterSpec::average). To such a one, momentum, moments, compensation and the age of what is pushed mean nothing;
// it takes  w += m (g - w),  which is sgd with rate -m and decay -1. Under an outer rule its deltas are averaged.
[[nodiscard]] RuleConfig rule_for(const RuleConfig& rule, const ParameterSpec& spec);

// The numbers that change from update to update, or from parameter to parameter.
struct UpdateScalars {
  double rate = 0.0;               // learning rate of this update, the parameter's factor included
  double gradient_scale = 1.0;     // multiplies the gradient first: 1 / samples of a summed one
  double clip_value = 0.0;         // then each element goes into [-clip_value, clip_value]; 0: no clipping
  double age_factor = 1.0;         // then it counts so much (kernels/update_rule.h)
  double decay = 0.0;              // weight decay, the parameter's own where it has one
  std::uint64_t update_count = 1;  // updates of this slice, this one included: Adam's t
  double average_share = 0.0;      // of the new weights in their moving average; 0: none is kept
};

// In the update_count-th update, under a rule that keeps an average (kernels/update_rule.h has the formula).
[[nodiscard]] double average_share(const RuleConfig& rule, std::uint64_t update_count);

// For a piece of the parameter `spec`, in an update under `rate` by rule_for() it. Decay, clipping and the parameter's
// factor are in a delta already: an outer rule has none of them.
[[nodiscard]] UpdateScalars update_scalars(const RuleConfig& rule, const ParameterSpec& spec, double rate,
                                           double gradient_scale, std::uint64_t update_count, double age_factor = 1.0);

template <typename Float>
struct BasicSlotView {
  std::span<Float> weights;
  std::array<std::span<Float>, kStatePlanesMax> state;  // those that the rule has not are left empty
  std::span<Float> mean_square{};                       // empty unless compensation is adaptive
  std::span<Float> average{};                           // empty unless the job keeps one of the weights

  // The elements [first, first + count) of every plane: one parameter of a slice that holds several.
  [[nodiscard]] BasicSlotView part(std::size_t first, std::size_t count) const {
    BasicSlotView piece{weights.subspan(first, count), {}};
    if (!mean_square.empty()) piece.mean_square = mean_square.subspan(first, count);
    if (!average.empty()) piece.average = average.subspan(first, count);
    for (std::size_t plane = 0; plane < kStatePlanesMax; ++plane) {
      if (!state[plane].empty()) piece.state[plane] = state[plane].subspan(first, count);
    }
    return piece;
  }

  template <typename Other>
  requires(!std::is_const_v<Float> && std::is_same_v<Other, const Float>) operator BasicSlotView<Other>()
      const {  // NOLINT: implicit by design, as for spans
    return {weights, {state[0], state[1]}, mean_square, average};
  }
};
using SlotView = BasicSlotView<float>;
using ConstSlotView = BasicSlotView<const float>;

// RUBATO_CHECKs what every launcher of a rule demands: all spans equally long, and each plane of `next`
// either that of `current` itself or sharing no byte with it. (In between, a loop in vectors would
// read what it has just written.)
void check_update(RuleKind kind, const ConstSlotView& current, std::span<const float> gradient, const SlotView& next);

// What one push brings to the sum of an update's gradients. All spans are equally long, but for those that the
// compensation does not need, which are empty.
struct GradientPart {
  std::span<const float> gradient;       // summed over ...
  std::uint64_t samples = 1;             // ... so many
  double factor = 1.0;                   // its weight in the sum
  std::span<const float> weights, read;  // compensated: the current ones, and those that it was computed on
  std::span<const float> mean_square;    // adaptive: before this push
  std::span<float> next_mean_square;     // adaptive: with it; may be the one before
};

// RUBATO_CHECKs what every launcher demands of a part and of the sum that it is added to.
void check_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum);

}  // namespace rubato::kernels
