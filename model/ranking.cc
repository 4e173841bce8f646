#include "model/ranking.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/no_label.h"

namespace rubato::model {
namespace {

// Of two classes one score says all.
std::size_t columns_of(std::size_t classes) { return classes == 2 ? 1 : classes; }

// Logarithms of probabilities rank as these do, and do not run together near 1.
double log_of_sum(std::span<const float> scores) {
  const double greatest = *std::ranges::max_element(scores);
  double sum = 0.0;
  for (const float score : scores) sum += std::exp(score - greatest);
  return greatest + std::log(sum);
}

}  // namespace

RankedScores::RankedScores(std::size_t classes, Scores scores, std::size_t samples)
    : classes_(classes), columns_(columns_of(classes)), scores_(scores), fits_(fits(classes, samples)) {
  RUBATO_CHECK(classes > 1);
  if (!fits_) return;
  kept_.reserve(samples * columns_);
  labels_.reserve(samples);
}

bool RankedScores::fits(std::size_t classes, std::size_t samples) {
  return samples <= kScoresMax / columns_of(classes);
}

std::size_t RankedScores::bytes(std::size_t classes, std::size_t samples) {
  if (!fits(classes, samples)) return 0;
  return samples * (columns_of(classes) * sizeof(float) + sizeof(std::int32_t) + sizeof(std::pair<float, bool>));
}

void RankedScores::add(std::span<const std::int32_t> labels, std::span<const float> outputs) {
  if (!fits_ || labels.empty()) return;
  const std::size_t width = outputs.size() / labels.size();
  RUBATO_CHECK(width * labels.size() == outputs.size() && (width == classes_ || (width == 1 && classes_ == 2)),
               "{} labels, {} outputs, {} classes", labels.size(), outputs.size(), classes_);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == kNoLabel) continue;
    const std::span<const float> row = outputs.subspan(i * width, width);
    labels_.push_back(labels[i]);
    const double taken_off = scores_ != Scores::kSoftmax || width == 1 ? 0.0 : columns_ == 1 ? row[0] : log_of_sum(row);
    for (const float score : row.last(columns_)) {
      kept_.push_back(static_cast<float>(score - taken_off));
      numbers_ = numbers_ && !std::isnan(kept_.back());
    }
  }
}

// Twice the pairs that are in order, in whole numbers: no sum of them is rounded.
std::optional<double> RankedScores::area(std::size_t column, std::int32_t label) const {
  std::vector<std::pair<float, bool>> ranked(labels_.size());
  for (std::size_t i = 0; i < ranked.size(); ++i) ranked[i] = {kept_[i * columns_ + column], labels_[i] == label};
  std::ranges::sort(ranked, {}, &std::pair<float, bool>::first);
  std::uint64_t twice = 0, positives = 0, negatives = 0;
  for (std::size_t first = 0, last = 0; first < ranked.size(); first = last) {
    std::uint64_t here = 0;  // of the class, among equal scores
    for (; last < ranked.size() && ranked[last].first == ranked[first].first; ++last) here += ranked[last].second;
    const std::uint64_t others = last - first - here;
    twice += here * (2 * negatives + others);
    positives += here;
    negatives += others;
  }
  if (positives == 0 || negatives == 0) return std::nullopt;
  return static_cast<double>(twice) / 2.0 / static_cast<double>(positives) / static_cast<double>(negatives);
}

Areas RankedScores::areas() const {
  Areas areas;
  if (columns_ > 1) areas.per_class.resize(classes_);
  if (!fits_ || !numbers_) return areas;
  if (columns_ == 1) {
    areas.mean = area(0, 1);
    return areas;
  }
  double sum = 0.0, there = 0.0;
  for (std::size_t c = 0; c < classes_; ++c) {
    areas.per_class[c] = area(c, static_cast<std::int32_t>(c));
    if (!areas.per_class[c]) continue;
    sum += *areas.per_class[c];
    there += 1.0;
  }
  if (there > 0.0) areas.mean = sum / there;
  return areas;
}

}  // namespace rubato::model
