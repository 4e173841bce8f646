// Classification metrics: a confusion matrix, and what follows from it.
//
// Conventions are scikit-learn's: a row of the matrix is a true class, a column a predicted one; 0 / 0
// is 0 (zero_division=0); macro is the plain mean over all classes, also those without a sample;
// weighted is the mean by support; micro pools the counts, and with one label a sample all of its
// figures equal the accuracy.
//
// Thread-safety: plain values. Matrices of parts of a data set can be merged, in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

namespace rubato::model {

class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(std::size_t classes);

  // Equally long; each value in [0, classes), which the readers of data and the argmax see to. What has
  // kNoLabel is left out.
  void add(std::span<const std::int32_t> labels, std::span<const std::int32_t> predictions);
  void merge(const ConfusionMatrix& other);

  [[nodiscard]] std::size_t classes() const { return classes_; }
  // Samples of class `label` that were taken for `prediction`.
  [[nodiscard]] std::int64_t count(std::size_t label, std::size_t prediction) const;
  [[nodiscard]] std::int64_t total() const;

  friend bool operator==(const ConfusionMatrix&, const ConfusionMatrix&) = default;

 private:
  std::size_t classes_;
  std::vector<std::int64_t> counts_;  // row by row
};

inline constexpr std::size_t kConfusionMax = 100;

struct Score {
  double precision = 0.0, recall = 0.0, f1 = 0.0;
  std::int64_t support = 0;  // samples that the score is about
};

struct ClassificationReport {
  ConfusionMatrix confusion;
  double accuracy = 0.0;
  std::vector<Score> per_class;
  Score macro, micro, weighted;
};

[[nodiscard]] ClassificationReport make_report(const ConfusionMatrix& confusion);

// For a terminal: a row a class that occurs, the averages, the accuracy, and the confusion matrix of no more than
// kConfusionMax classes. `names` has one entry a class, or none: then classes go by number.
[[nodiscard]] std::string to_table(const ClassificationReport& report, std::span<const std::string> names = {});

// {"samples", "accuracy", "per_class": [score...], "macro", "micro", "weighted", "confusion": [[...]...]},
// a score being {"precision", "recall", "f1", "support"}. Of more than kConfusionMax classes there is no confusion
// matrix, which has the square of their number.
[[nodiscard]] nlohmann::json to_json(const ClassificationReport& report);

}  // namespace rubato::model
