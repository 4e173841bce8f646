#include "model/ranking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "kernels/op_desc.h"

namespace rubato::model {
namespace {

using Labels = std::vector<std::int32_t>;
using Values = std::vector<float>;
using enum RankedScores::Scores;

Areas areas_of(std::size_t classes, RankedScores::Scores scores, const Labels& labels, const Values& outputs) {
  RankedScores ranked(classes, scores, labels.size());
  ranked.add(labels, outputs);
  return ranked.areas();
}

// Every pair of a sample of the class and one of another, in float64.
double by_pairs(const Labels& labels, std::int32_t label, const std::vector<double>& scores) {
  double in_order = 0.0, pairs = 0.0;
  for (std::size_t i = 0; i < labels.size(); ++i)
    for (std::size_t j = 0; j < labels.size(); ++j) {
      if (labels[i] != label || labels[j] == label) continue;
      pairs += 1.0;
      in_order += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
    }
  return in_order / pairs;
}

// The example of scikit-learn's documentation of roc_auc_score: 0.75.
TEST(Ranking, TwoClassesByHand) {
  EXPECT_EQ(areas_of(2, kSeparate, {0, 0, 1, 1}, {0.1f, 0.4f, 0.35f, 0.8f}).mean, 0.75);
  EXPECT_EQ(areas_of(2, kSeparate, {1, 1, 0, 0}, {2.0f, 3.0f, -1.0f, 0.0f}).mean, 1.0);
  EXPECT_EQ(areas_of(2, kSeparate, {0, 0, 1}, {2.0f, 3.0f, -1.0f}).mean, 0.0);
  EXPECT_TRUE(areas_of(2, kSeparate, {0, 1}, {0.0f, 1.0f}).per_class.empty());
}

TEST(Ranking, TiesCountHalf) {
  EXPECT_EQ(areas_of(2, kSeparate, {0, 1, 0, 1}, {1.0f, 1.0f, 1.0f, 1.0f}).mean, 0.5);
  // Of four pairs one is in order, one is not, and two are ties.
  EXPECT_EQ(areas_of(2, kSeparate, {0, 1, 1, 0}, {1.0f, 1.0f, 0.5f, 0.5f}).mean, 0.5);
  // Of six: two in order, and a tie.
  EXPECT_EQ(areas_of(2, kSeparate, {1, 0, 0, 0, 1}, {3.0f, 3.0f, 2.0f, 4.0f, 2.5f}).mean, 2.5 / 6.0);
}

TEST(Ranking, OneScoreOrTwoSayTheSame) {
  const Labels labels{0, 0, 1, 1, 1};
  const Values difference{0.1f, 0.4f, 0.35f, 0.8f, -2.0f};
  Values both;
  for (const float value : difference) both.insert(both.end(), {1.0f, 1.0f + value});
  EXPECT_EQ(areas_of(2, kSoftmax, labels, both).mean, areas_of(2, kSeparate, labels, difference).mean);
}

// Of each class against the rest, by all pairs of the probabilities themselves. Scores are whole numbers, so that equal
// probabilities come of equal scores, and others differ by much more than they are rounded.
TEST(Ranking, SeveralClassesAgreeWithAllPairs) {
  constexpr std::size_t kClasses = 4, kSamples = 200;
  RandomStream random(stream_key(2, "ranking test"));
  Labels labels;
  Values outputs;
  std::vector<std::vector<double>> probabilities(kClasses);
  for (std::size_t i = 0; i < kSamples; ++i) {
    labels.push_back(static_cast<std::int32_t>(random.below(kClasses)));
    Values row;
    for (std::size_t c = 0; c < kClasses; ++c)
      row.push_back(static_cast<float>(random.below(6)) + (static_cast<std::size_t>(labels.back()) == c ? 1.0f : 0.0f));
    double sum = 0.0;
    std::vector<int> powers(8, 0);  // summed in one order, whatever that of the classes
    for (const float score : row) ++powers[static_cast<std::size_t>(score)];
    for (std::size_t power = 0; power < powers.size(); ++power)
      sum += powers[power] * std::exp(static_cast<double>(power));
    for (std::size_t c = 0; c < kClasses; ++c) probabilities[c].push_back(std::exp(static_cast<double>(row[c])) / sum);
    outputs.insert(outputs.end(), row.begin(), row.end());
  }
  const Areas areas = areas_of(kClasses, kSoftmax, labels, outputs);
  double mean = 0.0;
  ASSERT_EQ(areas.per_class.size(), kClasses);
  for (std::size_t c = 0; c < kClasses; ++c) {
    // What are equal in real numbers may differ in the last bits: one tie more or less is half a pair.
    std::vector<double> rounded;
    for (const double p : probabilities[c]) rounded.push_back(std::round(p * 1e9));
    const double expected = by_pairs(labels, static_cast<std::int32_t>(c), rounded);
    ASSERT_TRUE(areas.per_class[c].has_value());
    EXPECT_NEAR(*areas.per_class[c], expected, 1e-12) << c;
    mean += expected / kClasses;
  }
  EXPECT_NEAR(areas.mean.value(), mean, 1e-12);
  EXPECT_GT(mean, 0.6);
  EXPECT_LT(mean, 0.9);
}

// Numbers as they come, with many ties.
TEST(Ranking, SeparateScoresAgreeWithAllPairs) {
  RandomStream random(stream_key(3, "ranking test"));
  for (int round = 0; round < 50; ++round) {
    Labels labels{0, 1};
    std::vector<double> scores{0.0, 0.0};
    for (int i = 0; i < 60; ++i) {
      labels.push_back(static_cast<std::int32_t>(random.below(2)));
      scores.push_back(static_cast<double>(random.below(1 + static_cast<std::uint64_t>(round))) - 5.0);
    }
    const Values outputs(scores.begin(), scores.end());
    EXPECT_NEAR(areas_of(2, kSeparate, labels, outputs).mean.value(), by_pairs(labels, 1, scores), 1e-12) << round;
  }
}

TEST(Ranking, AClassThatDoesNotOccurHasNoArea) {
  const Areas areas = areas_of(3, kSeparate, {0, 2, 0}, {1, 5, 0, 0, 6, 2, 3, 7, 1});
  EXPECT_EQ(areas.per_class[0], 1.0);
  EXPECT_EQ(areas.per_class[1], std::nullopt);
  EXPECT_EQ(areas.per_class[2], 1.0);
  EXPECT_EQ(areas.mean, 1.0);
  EXPECT_EQ(areas_of(3, kSeparate, {1, 1}, {1, 2, 3, 4, 5, 6}).mean, std::nullopt);
  EXPECT_EQ(areas_of(2, kSeparate, {1, 1}, {1, 2}).mean, std::nullopt);
  EXPECT_EQ(areas_of(2, kSeparate, {}, {}).mean, std::nullopt);
}

TEST(Ranking, WhatHasNoLabelIsLeftOut) {
  EXPECT_EQ(areas_of(2, kSeparate, {0, kNoLabel, 1}, {1.0f, 9.0f, 2.0f}).mean, 1.0);
}

TEST(Ranking, ScoresThatAreNoNumbersHaveNoArea) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  EXPECT_EQ(areas_of(2, kSeparate, {0, 1, 0}, {1.0f, nan, 0.0f}).mean, std::nullopt);
  EXPECT_EQ(areas_of(2, kSeparate, {0, 1, 0}, {1.0f, infinite, 0.0f}).mean, 1.0);
  EXPECT_EQ(areas_of(3, kSoftmax, {0, 1}, {1, 2, infinite, 4, 5, 6}).mean, std::nullopt);
}

TEST(Ranking, PartsAreRankedTogether) {
  RankedScores parts(2, kSeparate, 4);
  parts.add(Labels{0, 0}, Values{0.1f, 0.4f});
  parts.add(Labels{1, 1}, Values{0.35f, 0.8f});
  EXPECT_EQ(parts.areas().mean, 0.75);
}

TEST(Ranking, MoreThanCanBeKeptIsNotKept) {
  EXPECT_TRUE(RankedScores::fits(1000, 16'777));
  EXPECT_FALSE(RankedScores::fits(1000, 16'778));
  EXPECT_EQ(RankedScores::bytes(1000, 16'778), 0u);
  EXPECT_EQ(RankedScores::bytes(2, 1000), 1000u * (4 + 4 + 8));
  EXPECT_EQ(RankedScores::bytes(10, 1000), 1000u * (40 + 4 + 8));
  RankedScores none(2, kSeparate, RankedScores::kScoresMax + 1);
  none.add(Labels{0, 1}, Values{1.0f, 2.0f});
  EXPECT_EQ(none.areas().mean, std::nullopt);
}

}  // namespace
}  // namespace rubato::model
