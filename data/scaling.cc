#include "data/scaling.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace rubato::data {

Result<Scaling> Scaling::fit(std::span<const double> values, std::size_t columns, std::span<const std::uint64_t> rows,
                             bool standard, const std::string& file, const std::vector<std::string>& names) {
  Scaling fitted;
  fitted.standard_ = standard;
  fitted.mean_.assign(columns, 0.0);
  fitted.deviation_.assign(columns, 1.0);
  std::vector<std::uint64_t> counts(columns, 0);
  for (const std::uint64_t row : rows)
    for (std::size_t column = 0; column < columns; ++column) {
      const double value = values[row * columns + column];
      if (std::isnan(value)) continue;
      // The running mean, which no sum of large numbers can overflow.
      fitted.mean_[column] += (value - fitted.mean_[column]) / static_cast<double>(++counts[column]);
    }
  for (std::size_t column = 0; column < columns; ++column)
    if (counts[column] == 0)
      return Error{Cause::kData,
                   fmt::format("{}: column \"{}\" has no value in the training part", file, names[column])};
  if (!standard) return fitted;
  std::vector<double> squares(columns, 0.0);
  for (const std::uint64_t row : rows)
    for (std::size_t column = 0; column < columns; ++column) {
      const double distance = values[row * columns + column] - fitted.mean_[column];
      if (!std::isnan(distance)) squares[column] += distance * distance;
    }
  for (std::size_t column = 0; column < columns; ++column) {
    const double deviation = std::sqrt(squares[column] / static_cast<double>(counts[column]));
    // A column of one value differs from its mean by rounding alone, and would be blown up to noise.
    if (deviation > 1e-14 * std::abs(fitted.mean_[column])) fitted.deviation_[column] = deviation;
  }
  return fitted;
}

Scaling Scaling::of(bool standard, std::vector<double> mean, std::vector<double> deviation) {
  Scaling fitted;
  fitted.standard_ = standard;
  fitted.mean_ = std::move(mean);
  fitted.deviation_ = std::move(deviation);
  return fitted;
}

float Scaling::scaled(double value, std::size_t column) const {
  const double there = std::isnan(value) ? mean_[column] : value;
  return static_cast<float>(standard_ ? (there - mean_[column]) / deviation_[column] : there);
}

TargetScale Scaling::of_column(std::size_t column) const {
  return standard_ ? TargetScale{mean_[column], deviation_[column]} : TargetScale();
}

}  // namespace rubato::data
