// Which update rule a job uses, with its constants; what one update of one piece of a slice is given;
// and the view of a slot that an update reads or writes.
//
// A slot holds a slice's weights and, beside them, the state planes of the rule (momentum, Adam's
// moments), each as long as the weights and all zero before the first update. An update reads one slot
// and writes another, or the same.
//
// Thread-safety: plain values; the views borrow.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/parameter.h"
#include "base/result.h"
#include "kernels/update_rule.h"

namespace rubato {
struct OptimizerConfig;
}

namespace rubato::kernels {

enum class RuleKind : std::uint8_t { kSgd = 0, kMomentum = 1, kNesterov = 2, kAdam = 3, kAdamW = 4 };

struct RuleConfig {
  RuleKind kind = RuleKind::kSgd;
  double momentum = 0.9;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0.0;
  double clip_value = 0.0;  // 0: no clipping
  friend bool operator==(const RuleConfig&, const RuleConfig&) = default;
};

// How many state planes the rule keeps beside the weights: 0, 1 (momentum, nesterov) or 2 (adam, adamw).
[[nodiscard]] std::size_t state_planes(RuleKind kind);
[[nodiscard]] std::string_view rule_name(RuleKind kind);

// Errors: kUsage, for an unknown name or a constant out of the rule's range.
[[nodiscard]] Result<RuleConfig> make_rule(const OptimizerConfig& optimizer);

// The numbers that change from update to update, or from parameter to parameter.
struct UpdateScalars {
  double rate = 0.0;               // learning rate of this update, the parameter's factor included
  double gradient_scale = 1.0;     // multiplies the gradient first: 1 / samples of a summed one
  double clip_value = 0.0;         // then each element goes into [-clip_value, clip_value]; 0: no clipping
  double decay = 0.0;              // weight decay; 0 where the parameter is exempt
  std::uint64_t update_count = 1;  // updates of this slice, this one included: Adam's t
};

// For a piece of the parameter `spec`, in an update under `rate`.
[[nodiscard]] UpdateScalars update_scalars(const RuleConfig& rule, const ParameterSpec& spec, double rate,
                                           double gradient_scale, std::uint64_t update_count);

template <typename Float>
struct BasicSlotView {
  std::span<Float> weights;
  std::array<std::span<Float>, kStatePlanesMax> state;  // those that the rule has not are left empty

  // The elements [first, first + count) of every plane: one parameter of a slice that holds several.
  [[nodiscard]] BasicSlotView part(std::size_t first, std::size_t count) const {
    BasicSlotView piece{weights.subspan(first, count), {}};
    for (std::size_t plane = 0; plane < kStatePlanesMax; ++plane) {
      if (!state[plane].empty()) piece.state[plane] = state[plane].subspan(first, count);
    }
    return piece;
  }

  template <typename Other>
  requires(!std::is_const_v<Float> && std::is_same_v<Other, const Float>) operator BasicSlotView<Other>()
      const {  // NOLINT: implicit by design, as for spans
    return {weights, {state[0], state[1]}};
  }
};
using SlotView = BasicSlotView<float>;
using ConstSlotView = BasicSlotView<const float>;

// RUBATO_CHECKs what every launcher of a rule demands: all spans equally long, and each plane of `next`
// either that of `current` itself or sharing no byte with it. (In between, a loop in vectors would
// read what it has just written.)
void check_update(RuleKind kind, const ConstSlotView& current, std::span<const float> gradient, const SlotView& next);

}  // namespace rubato::kernels
