// How long the samples of a call are, for loops over positions: the longest first, so that those that are there at a
// step are the first so many of them, and their rows lie one after the other.
//
// Thread-safety: may be read from several threads; `take` needs it alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "base/check.h"

namespace rubato::kernels {

class SequenceLengths {
 public:
  // All of them whole.
  SequenceLengths(std::int64_t samples, std::int64_t positions)
      : positions_(positions),
        lengths_(static_cast<std::size_t>(samples), positions),
        order_(lengths_.size()),
        there_(static_cast<std::size_t>(positions), samples) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  // Of each sample, from 1 on; none: all are whole. Allocates nothing.
  void take(std::span<const std::int32_t> lengths) {
    if (lengths.empty() && whole_) return;
    RUBATO_CHECK(lengths.empty() || lengths.size() == lengths_.size(), "{} lengths for {} samples", lengths.size(),
                 lengths_.size());
    whole_ = lengths.empty();
    std::ranges::fill(there_, 0);
    for (std::size_t sample = 0; sample < lengths_.size(); ++sample) {
      lengths_[sample] = whole_ ? positions_ : std::min<std::int64_t>(lengths[sample], positions_);
      RUBATO_CHECK(lengths_[sample] > 0, "a sequence without positions: sample {}", sample);
      ++there_[static_cast<std::size_t>(lengths_[sample] - 1)];
    }
    for (std::size_t step = there_.size(); step-- > 1;) there_[step - 1] += there_[step];
    std::iota(order_.begin(), order_.end(), 0);
    std::ranges::sort(order_, [this](std::int64_t a, std::int64_t b) {
      const std::int64_t of_a = length(a), of_b = length(b);
      return of_a != of_b ? of_a > of_b : a < b;
    });
  }

  [[nodiscard]] std::int64_t samples() const { return static_cast<std::int64_t>(order_.size()); }
  [[nodiscard]] std::int64_t positions() const { return positions_; }
  [[nodiscard]] std::int64_t length(std::int64_t sample) const { return lengths_[static_cast<std::size_t>(sample)]; }
  [[nodiscard]] std::int64_t longest() const { return length(sample(0)); }
  // The one that is at this place of the order.
  [[nodiscard]] std::int64_t sample(std::int64_t place) const { return order_[static_cast<std::size_t>(place)]; }
  // Where the first place of a part is, of as many that have about as many positions each.
  [[nodiscard]] std::int64_t first_place(std::int64_t part, std::int64_t parts) const {
    const std::int64_t all = std::accumulate(lengths_.begin(), lengths_.end(), std::int64_t{0});
    std::int64_t place = 0, before = 0;
    for (; place < samples() && before * parts < all * part; ++place) before += length(sample(place));
    return place;
  }
  // How many samples are longer than `step`.
  [[nodiscard]] std::int64_t there_at(std::int64_t step) const { return there_[static_cast<std::size_t>(step)]; }

 private:
  const std::int64_t positions_;
  bool whole_ = true;
  std::vector<std::int64_t> lengths_, order_;  // by sample; samples
  std::vector<std::int64_t> there_;            // by step
};

}  // namespace rubato::kernels
