// The area under the ROC curve (AUC): the probability that a sample of a class has a higher score than one of the
// others, ties counted half. By ranks (Hanley & McNeil, "The meaning and use of the area under a receiver operating
// characteristic (ROC) curve", Radiology 143, 1982), so no threshold has to be chosen.
//
// Of two classes it is that of class 1. Of more it is one against the rest, and the plain mean over the classes that
// have an area: those that some samples are of and others are not. Where all classes occur these are the figures of
// scikit-learn's roc_auc_score(multi_class="ovr", average="macro").
//
// Ranks need all scores at once: they are kept, kScoresMax at most. Thread-safety: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace rubato::model {

// Nothing where a class has no area.
struct Areas {
  std::vector<std::optional<double>> per_class;  // of more than two classes
  std::optional<double> mean;                    // of two: that of class 1
};

class RankedScores {
 public:
  static constexpr std::size_t kScoresMax = std::size_t{1} << 24;  // 64 MiB
  // What softmax makes of scores moves with the other scores of the sample; sigmoid and no function leave their order.
  enum class Scores : std::uint8_t { kSoftmax, kSeparate };

  // Of `classes` at least 2.
  RankedScores(std::size_t classes, Scores scores, std::size_t samples);

  // False: there are too many scores to be kept, and there will be no areas.
  [[nodiscard]] static bool fits(std::size_t classes, std::size_t samples);
  // What it takes, at most, with what areas() needs while it runs.
  [[nodiscard]] static std::size_t bytes(std::size_t classes, std::size_t samples);

  // A label a sample, and as many outputs as classes, or one of two classes. What has kNoLabel is left out.
  void add(std::span<const std::int32_t> labels, std::span<const float> outputs);
  // Nothing has an area where a score was no number.
  [[nodiscard]] Areas areas() const;

 private:
  [[nodiscard]] std::optional<double> area(std::size_t column, std::int32_t label) const;

  const std::size_t classes_, columns_;
  const Scores scores_;
  const bool fits_;
  bool numbers_ = true;      // all scores are
  std::vector<float> kept_;  // samples x columns
  std::vector<std::int32_t> labels_;
};

}  // namespace rubato::model
