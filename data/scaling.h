// Columns of numbers brought to mean 0 and standard deviation 1. Mean and deviation are those of the rows that it was
// fitted on, which are the training part's: what is evaluated on has no say.
//
// Thread-safety: immutable once fitted.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"

namespace rubato::data {

class Scaling {
 public:
  // `values` are rows x columns, NaN where one is missing. Deviations are of the whole part (divided by its size, as
  // scikit-learn's StandardScaler does); where all values are the same it is 1. Without `standard`, means are still
  // known, for what is missing. Errors: kData, naming the column that has no value in any of `rows`.
  static Result<Scaling> fit(std::span<const double> values, std::size_t columns, std::span<const std::uint64_t> rows,
                             bool standard, const std::string& file, const std::vector<std::string>& names);

  // As it was fitted before. All are as long as there are columns.
  static Scaling of(bool standard, std::vector<double> mean, std::vector<double> deviation);
  [[nodiscard]] bool standard() const { return standard_; }
  [[nodiscard]] const std::vector<double>& mean() const { return mean_; }
  [[nodiscard]] const std::vector<double>& deviation() const { return deviation_; }
  friend bool operator==(const Scaling&, const Scaling&) = default;

  // What is missing becomes the mean.
  [[nodiscard]] float scaled(double value, std::size_t column) const;
  // What it does to a column; nothing where it is not `standard`.
  [[nodiscard]] TargetScale of_column(std::size_t column) const;

 private:
  bool standard_ = false;
  std::vector<double> mean_, deviation_;
};

}  // namespace rubato::data
