// Pixels to inputs: (value / greatest - mean) / stddev, each channel with its own numbers or all with one.
//
// Thread-safety: immutable once made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"

namespace rubato::data {

class Normalizer {
 public:
  // `greatest` is what a pixel can be at most: 255, 65535, or 1 for floats, which are taken as they are.
  // Errors: kData, if data.mean or data.stddev are for another number of channels than `file` has.
  static Result<Normalizer> make(const DataConfig& config, std::int64_t channels, double greatest,
                                 const std::string& file);

  // `values` begin with the first channel. Reads the numbers of a stretch of pixels side by side, so that the inner
  // loop is a vector loop for any number of channels.
  template <class Value>
  void run(std::span<const Value> values, float* out) const {
    if (same_) {
      run_same(values, scale_.front(), shift_.front(), out);
      return;
    }
    const std::size_t stretch = scale_.size();
    const float* const scale = scale_.data();
    const float* const shift = shift_.data();
    for (std::size_t begin = 0; begin < values.size(); begin += stretch) {
      const std::size_t count = std::min(stretch, values.size() - begin);
      const Value* const in = values.data() + begin;
      float* const to = out + begin;
      for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<float>(in[i]) * scale[i] + shift[i];
    }
  }

 private:
  // Takes its numbers by value: as members they might alias `out`, and the loop would not be a vector loop.
  template <class Value>
  static void run_same(std::span<const Value> values, float scale, float shift, float* out) {
    for (std::size_t i = 0; i < values.size(); ++i) out[i] = static_cast<float>(values[i]) * scale + shift;
  }

  bool same_ = true;                  // all channels have the same numbers
  std::vector<float> scale_, shift_;  // of a stretch of whole pixels
};

}  // namespace rubato::data
