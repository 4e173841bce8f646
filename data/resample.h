// A part of an image at another size: bilinear, and where it gets smaller each output is an average over all pixels
// that it stands for (antialiasing), as PIL's BILINEAR and torchvision's antialias = true. PIL rounds to whole numbers
// after each direction; here nothing is rounded.
//
// Thread-safety: a Resampler belongs to one thread at a time; it keeps memory alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/crop.h"
#include "data/picture.h"

namespace rubato::data {

class Resampler {
 public:
  // Pixel values, rows x columns x channels, of the view of `picture`. `out` has room for them.
  void run(const Picture& picture, const View& view, float* out);

 private:
  // The pixels that an output is the weighted sum of.
  struct Taps {
    std::int64_t first = 0;
    std::size_t count = 0, weights = 0;  // where the weights begin
  };
  struct Plan {
    std::vector<Taps> taps;
    std::vector<float> weights;
    void make(const Axis& axis);
    [[nodiscard]] std::span<const float> of(const Taps& taps_of) const {
      return std::span(weights).subspan(taps_of.weights, taps_of.count);
    }
  };

  template <class Value>
  void add_rows(const Value* pixels, std::int64_t row_numbers, const Taps& taps, std::int64_t begin, std::int64_t end);
  template <int kChannels>
  void add_columns(std::int64_t first_column, bool mirrored, float* out) const;

  Plan rows_, columns_;
  std::vector<float> row_;  // of the columns that are looked at: one output row, at their width
};

}  // namespace rubato::data
