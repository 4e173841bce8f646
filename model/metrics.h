// Classification metrics: a confusion matrix, and what follows from it.
//
// A matrix of many classes would be larger than whatever is trained: 8 GiB of 32,768, 8 TiB of as many as a job may
// have. Of more than kConfusionMax only its diagonal and the sums of its rows and columns are kept, which scores are
// made of.
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

inline constexpr std::size_t kConfusionMax = 100;

class ConfusionMatrix {
 public:
  // What one takes.
  [[nodiscard]] static constexpr std::size_t bytes(std::size_t classes) {
    return classes * sizeof(Sums) + (classes <= kConfusionMax ? classes * classes : 0) * sizeof(std::int64_t);
  }

  explicit ConfusionMatrix(std::size_t classes);

  // Equally long; each value in [0, classes), which the readers of data and the argmax see to. What has
  // kNoLabel is left out.
  void add(std::span<const std::int32_t> labels, std::span<const std::int32_t> predictions);
  void merge(const ConfusionMatrix& other);

  [[nodiscard]] std::size_t classes() const { return classes_; }
  // Samples of class `label` that were taken for `prediction`; of no more than kConfusionMax classes.
  [[nodiscard]] std::int64_t count(std::size_t label, std::size_t prediction) const;
  [[nodiscard]] std::int64_t hits(std::size_t c) const { return sums_.at(c).hits; }
  [[nodiscard]] std::int64_t labelled(std::size_t c) const { return sums_.at(c).labelled; }
  [[nodiscard]] std::int64_t predicted(std::size_t c) const { return sums_.at(c).predicted; }
  [[nodiscard]] std::int64_t total() const;

  friend bool operator==(const ConfusionMatrix&, const ConfusionMatrix&) = default;

 private:
  struct Sums {
    std::int64_t hits = 0, labelled = 0, predicted = 0;
    friend bool operator==(const Sums&, const Sums&) = default;
  };
  std::size_t classes_;
  std::vector<Sums> sums_;
  std::vector<std::int64_t> counts_;  // row by row
};

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
