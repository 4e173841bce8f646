// The weights that the current step reads, filled slice by slice as they come. What is there already is not
// copied again: simulated workers that read the same version share a table. It takes memory when the first of them
// comes: an evaluator that nobody asks for anything has none.
//
// Thread-safety: one owner.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "worker/arena.h"
#include "worker/compute_port.h"
#include "worker/pinned_arenas.h"
#include "worker/slice_layout.h"

namespace rubato::worker {

class WeightTable {
 public:
  // `device`: that reads them, and may copy them from here; null: nobody's.
  explicit WeightTable(const SliceLayout& layout, kernels::Device* device = nullptr)
      : layout_(layout),
        clock_(layout.slices(), kNoClock),
        changes_(layout.slices(), 0),
        held_(layout.slices()),
        pins_(device) {}

  void take(const SliceWeights& weights) {
    const auto [first, count] = layout_.slice(weights.slice);
    const std::span<const float> values = weights.weights.floats();
    RUBATO_CHECK(values.size() == count, "slice {}: {} floats, expected {}", weights.slice, values.size(), count);
    clock_[weights.slice] = weights.clock;
    Held& held = held_[weights.slice];
    if (held.mark.is(weights.weights) && held.version == weights.version) return;
    if (!arena_) {
      arena_.emplace(layout_.floats(), pins_.place());
      pins_.pin(*arena_);
    }
    std::copy(values.begin(), values.end(), arena_->part(first, count).begin());
    held = {PayloadMark(weights.weights), weights.version};
    changes_[weights.slice] = ++change_;
  }

  // Whether all of a parameter is there for the step of this clock.
  [[nodiscard]] bool has(std::size_t parameter, Clock clock) const {
    for (SliceId slice : layout_.slices_of(parameter))
      if (clock_[slice] != clock) return false;
    return true;
  }
  [[nodiscard]] std::span<const float> parameter(std::size_t parameter) const {
    const auto [first, count] = layout_.parameter(parameter);
    return arena_->part(first, count);
  }
  // The same, a slice at a time, whatever clock it is for; once there is any.
  [[nodiscard]] std::span<const float> slice(SliceId slice) const {
    const auto [first, count] = layout_.slice(slice);
    return arena_->part(first, count);
  }
  // A number that is new whenever the parameter was written.
  [[nodiscard]] std::uint64_t changes(std::size_t parameter) const {
    std::uint64_t newest = 0;
    for (SliceId slice : layout_.slices_of(parameter)) newest = std::max(newest, changes_[slice]);
    return newest;
  }

 private:
  struct Held {
    PayloadMark mark;
    Version version = 0;
  };

  const SliceLayout& layout_;
  std::optional<Arena> arena_;
  std::vector<Clock> clock_;
  std::vector<std::uint64_t> changes_;
  std::vector<Held> held_;  // what was copied last
  std::uint64_t change_ = 0;
  PinnedArenas pins_;  // goes before the arena
};

}  // namespace rubato::worker
