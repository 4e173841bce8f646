// Slots on the heap and seeded numbers, for the tests of update rules.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/rng.h"
#include "kernels/rule_config.h"

namespace rubato::kernels::testing {

inline const std::vector<std::string> kRuleNames = {"sgd", "momentum", "nesterov", "adam", "adamw"};

inline OptimizerConfig optimizer_named(const std::string& name) {
  OptimizerConfig optimizer;
  optimizer.name = name;
  return optimizer;
}

// All there are, with what they have of decay and clipping. The delayed one's third update is that of its momentum.
inline const std::vector<std::string> kAllRuleNames = {"sgd",  "momentum", "nesterov",
                                                       "adam", "adamw",    "delayed_nesterov"};

inline RuleConfig rule_named(const std::string& name, double weight_decay, double clip_value) {
  if (name == "delayed_nesterov")
    return {.kind = RuleKind::kDelayedNesterov, .own_rate = 0.7, .delay = 3, .spread = 0.125};
  OptimizerConfig optimizer = optimizer_named(name);
  optimizer.weight_decay = weight_decay;
  optimizer.clip_value = clip_value;
  return make_rule(optimizer).value();
}

// `offset` floats of slack before each plane: with 1, nothing is aligned to more than a float.
class HeapSlot {
 public:
  explicit HeapSlot(std::size_t size, std::size_t offset = 0) : size_(size), offset_(offset) {
    for (auto& plane : planes_) plane.assign(offset + size, 0.0f);
  }

  [[nodiscard]] SlotView view() { return {plane(0), {plane(1), plane(2)}}; }
  [[nodiscard]] SlotView averaged_view() { return {plane(0), {plane(1), plane(2)}, {}, average()}; }
  [[nodiscard]] std::span<float> plane(std::size_t index) { return std::span(planes_[index]).subspan(offset_, size_); }
  [[nodiscard]] std::span<float> weights() { return plane(0); }
  [[nodiscard]] std::span<float> average() { return plane(1 + kStatePlanesMax); }

  [[nodiscard]] bool same_bits(const HeapSlot& other) const {
    if (size_ == 0 || other.size_ != size_) return size_ == other.size_;
    for (std::size_t p = 0; p < planes_.size(); ++p) {
      const float* mine = planes_[p].data() + offset_;
      if (std::memcmp(mine, other.planes_[p].data() + other.offset_, size_ * sizeof(float)) != 0) return false;
    }
    return true;
  }

 private:
  std::size_t size_, offset_;
  std::array<std::vector<float>, 2 + kStatePlanesMax> planes_;
};

inline void fill_normal(std::span<float> values, std::uint64_t seed, double scale = 1.0) {
  RandomStream random(stream_key(seed, "rule tests"));
  for (float& value : values) value = static_cast<float>(scale * random.next_normal());
}

inline std::vector<float> normals(std::size_t count, std::uint64_t seed, double scale = 1.0) {
  std::vector<float> values(count);
  fill_normal(values, seed, scale);
  return values;
}

// A slot in mid-training: weights, average and state that an update could have left (the last plane of state is a
// mean of squares).
inline HeapSlot trained_slot(std::size_t size, std::uint64_t seed, std::size_t offset = 0) {
  HeapSlot slot(size, offset);
  for (std::size_t p = 0; p <= kStatePlanesMax; ++p) fill_normal(slot.plane(p), seed * 7 + p);
  for (float& v : slot.plane(kStatePlanesMax)) v *= v;
  fill_normal(slot.average(), seed * 7 + 1 + kStatePlanesMax);
  return slot;
}

}  // namespace rubato::kernels::testing
