#include "data/resample.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace rubato::data {

// The triangle over two pixels of the result or, where that is larger, of the image; its sum is brought to 1.
void Resampler::Plan::make(const Axis& axis) {
  taps.clear();
  weights.clear();
  const double reach = std::max(axis.step, 1.0);
  std::vector<double> triangle;
  for (std::int64_t output = 0; output < axis.outputs; ++output) {
    const double center = axis.first + (static_cast<double>(output) + 0.5) * axis.step;
    const auto pixel = [&](double place) {
      return std::clamp(static_cast<std::int64_t>(std::floor(place + 0.5)), axis.from, axis.to);
    };
    const std::int64_t first = std::min(pixel(center - reach), axis.to - 1);
    const std::int64_t end = std::max(pixel(center + reach), first + 1);
    triangle.clear();
    double sum = 0.0;
    for (std::int64_t at = first; at < end; ++at) {
      const double distance = std::abs(static_cast<double>(at) + 0.5 - center) / reach;
      triangle.push_back(std::max(0.0, 1.0 - distance));
      sum += triangle.back();
    }
    if (sum == 0.0) sum = triangle.front() = 1.0;
    taps.push_back({first, triangle.size(), weights.size()});
    for (const double weight : triangle) weights.push_back(static_cast<float>(weight / sum));
  }
}

// Rows first: they are added to each other number by number, which is a vector loop for any number of channels.
template <class Value>
void Resampler::add_rows(const Value* pixels, std::int64_t row_numbers, const Taps& taps, std::int64_t begin,
                         std::int64_t end) {
  const auto count = static_cast<std::size_t>(end - begin);
  float* __restrict to = row_.data();
  std::fill_n(to, count, 0.0f);
  const std::span<const float> weights = rows_.of(taps);
  for (std::size_t t = 0; t < taps.count; ++t) {
    const Value* const from = pixels + (taps.first + static_cast<std::int64_t>(t)) * row_numbers + begin;
    const float weight = weights[t];
    for (std::size_t i = 0; i < count; ++i) to[i] += weight * static_cast<float>(from[i]);
  }
}

template <int kChannels>
void Resampler::add_columns(std::int64_t first_column, bool mirrored, float* out) const {
  const std::size_t outputs = columns_.taps.size();
  for (std::size_t x = 0; x < outputs; ++x) {
    const Taps& taps = columns_.taps[x];
    const float* const weights = columns_.weights.data() + taps.weights;
    const float* from = row_.data() + (taps.first - first_column) * kChannels;
    float sums[kChannels] = {};
    for (std::size_t t = 0; t < taps.count; ++t, from += kChannels)
      for (int c = 0; c < kChannels; ++c) sums[c] += weights[t] * from[c];
    std::copy_n(sums, kChannels, out + (mirrored ? outputs - 1 - x : x) * kChannels);
  }
}

void Resampler::run(const Picture& picture, const View& view, float* out) {
  RUBATO_CHECK(picture.channels == 1 || picture.channels == 3, "{} channels", picture.channels);
  RUBATO_CHECK(view.rows.from >= 0 && view.rows.from < view.rows.to && view.rows.to <= picture.height &&
               view.columns.from >= 0 && view.columns.from < view.columns.to && view.columns.to <= picture.width);
  rows_.make(view.rows);
  columns_.make(view.columns);
  std::int64_t first = view.columns.to, end = view.columns.from;
  for (const Taps& taps : columns_.taps) {
    first = std::min(first, taps.first);
    end = std::max(end, taps.first + static_cast<std::int64_t>(taps.count));
  }
  row_.resize(static_cast<std::size_t>((end - first) * picture.channels));
  for (const Taps& taps : rows_.taps) {
    std::visit(
        [&](const auto& pixels) {
          add_rows(pixels.data(), picture.width * picture.channels, taps, first * picture.channels,
                   end * picture.channels);
        },
        picture.pixels);
    if (picture.channels == 1)
      add_columns<1>(first, view.mirrored, out);
    else
      add_columns<3>(first, view.mirrored, out);
    out += view.columns.outputs * picture.channels;
  }
}

}  // namespace rubato::data
