#include "model/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/rng.h"

namespace rubato::model {
namespace {

using ::testing::HasSubstr;
using Labels = std::vector<std::int32_t>;

ClassificationReport report_of(std::size_t classes, const Labels& labels, const Labels& predictions) {
  ConfusionMatrix confusion(classes);
  confusion.add(labels, predictions);
  return make_report(confusion);
}

void expect_score(const Score& score, double precision, double recall, double f1, std::int64_t support) {
  EXPECT_DOUBLE_EQ(score.precision, precision);
  EXPECT_DOUBLE_EQ(score.recall, recall);
  EXPECT_DOUBLE_EQ(score.f1, f1);
  EXPECT_EQ(score.support, support);
}

// The example of scikit-learn's documentation of precision_recall_fscore_support, worked out by hand.
TEST(Metrics, ThreeClassesByHand) {
  const ClassificationReport report = report_of(3, {0, 1, 2, 0, 1, 2}, {0, 2, 1, 0, 0, 1});
  EXPECT_DOUBLE_EQ(report.accuracy, 2.0 / 6.0);
  expect_score(report.per_class[0], 2.0 / 3.0, 1.0, 0.8, 2);
  expect_score(report.per_class[1], 0.0, 0.0, 0.0, 2);
  expect_score(report.per_class[2], 0.0, 0.0, 0.0, 2);
  expect_score(report.macro, 2.0 / 9.0, 1.0 / 3.0, 0.8 / 3.0, 6);
  expect_score(report.micro, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 6);
  expect_score(report.weighted, 2.0 / 9.0, 1.0 / 3.0, 0.8 / 3.0, 6);
}

TEST(Metrics, UnequalSupportByHand) {
  // Confusion: 3 1 / 2 4 / with a third class that is neither true nor predicted.
  const ClassificationReport report = report_of(3, {0, 0, 0, 0, 1, 1, 1, 1, 1, 1}, {0, 0, 0, 1, 0, 0, 1, 1, 1, 1});
  EXPECT_DOUBLE_EQ(report.accuracy, 0.7);
  expect_score(report.per_class[0], 3.0 / 5.0, 3.0 / 4.0, 2.0 / 3.0, 4);
  expect_score(report.per_class[1], 4.0 / 5.0, 4.0 / 6.0, 8.0 / 11.0, 6);
  expect_score(report.per_class[2], 0.0, 0.0, 0.0, 0);
  expect_score(report.macro, 1.4 / 3.0, (0.75 + 4.0 / 6.0) / 3.0, (2.0 / 3.0 + 8.0 / 11.0) / 3.0, 10);
  expect_score(report.weighted, 0.4 * 0.6 + 0.6 * 0.8, 0.7, 0.4 * 2.0 / 3.0 + 0.6 * 8.0 / 11.0, 10);
}

TEST(Metrics, NothingIsZeroAndNotNan) {
  const ClassificationReport report = make_report(ConfusionMatrix(4));
  EXPECT_EQ(report.accuracy, 0.0);
  for (const Score& score : {report.macro, report.micro, report.weighted, report.per_class[3]}) {
    expect_score(score, 0.0, 0.0, 0.0, 0);
  }
}

// Counted straight from the samples, one class against the rest, F1 from precision and recall.
TEST(Metrics, AgreesWithAnotherComputation) {
  constexpr std::int32_t kClasses = 7;
  RandomStream random(stream_key(1, "metrics test"));
  Labels labels, predictions;
  for (int i = 0; i < 5000; ++i) {
    const auto label = static_cast<std::int32_t>(random.below(random.below(kClasses) + 1));
    labels.push_back(label);
    predictions.push_back(random.below(3) == 0 ? static_cast<std::int32_t>(random.below(kClasses)) : label);
  }
  const ClassificationReport report = report_of(kClasses, labels, predictions);
  double macro_f1 = 0.0, weighted_precision = 0.0, right = 0.0;
  for (std::int32_t c = 0; c < kClasses; ++c) {
    double tp = 0.0, fp = 0.0, fn = 0.0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] == c && predictions[i] == c) tp += 1.0;
      if (labels[i] != c && predictions[i] == c) fp += 1.0;
      if (labels[i] == c && predictions[i] != c) fn += 1.0;
    }
    const double precision = tp / (tp + fp), recall = tp / (tp + fn);
    const Score& score = report.per_class[static_cast<std::size_t>(c)];
    EXPECT_NEAR(score.precision, precision, 1e-12);
    EXPECT_NEAR(score.recall, recall, 1e-12);
    EXPECT_NEAR(score.f1, 2.0 * precision * recall / (precision + recall), 1e-12);
    macro_f1 += score.f1 / kClasses;
    weighted_precision += precision * (tp + fn) / 5000.0;
    right += tp;
  }
  EXPECT_NEAR(report.macro.f1, macro_f1, 1e-12);
  EXPECT_NEAR(report.weighted.precision, weighted_precision, 1e-12);
  EXPECT_NEAR(report.weighted.recall, report.accuracy, 1e-12);
  EXPECT_NEAR(report.accuracy, right / 5000.0, 1e-12);
  EXPECT_EQ(report.micro.f1, report.accuracy);
}

TEST(Metrics, PartsMergeToTheWhole) {
  ConfusionMatrix whole(3), first(3), second(3);
  whole.add(Labels{0, 1, 2, 2, 1}, Labels{0, 2, 2, 1, 1});
  first.add(Labels{0, 1}, Labels{0, 2});
  second.add(Labels{2, 2, 1}, Labels{2, 1, 1});
  second.merge(first);
  EXPECT_EQ(second, whole);
  EXPECT_EQ(whole.total(), 5);
  EXPECT_EQ(whole.count(2, 1), 1);
}

TEST(Metrics, TableIsAligned) {
  const ClassificationReport report = report_of(2, {0, 0, 0, 1}, {0, 0, 1, 1});
  const std::vector<std::string> names = {"T-shirt/top", "bag"};
  EXPECT_EQ(to_table(report, names),
            "      class  precision     recall         f1   support\n"
            "T-shirt/top     1.0000     0.6667     0.8000         3\n"
            "        bag     0.5000     1.0000     0.6667         1\n"
            "\n"
            "      macro     0.7500     0.8333     0.7333         4\n"
            "      micro     0.7500     0.7500     0.7500         4\n"
            "   weighted     0.8750     0.7500     0.7667         4\n"
            "   accuracy     0.7500  of 4 samples\n"
            "\n"
            "confusion: a row is the true class, a column the predicted one\n"
            "             T-shirt/top  bag\n"
            "T-shirt/top            2    1\n"
            "        bag            0    1\n");
  EXPECT_THAT(to_table(report), HasSubstr("       0     1.0000     0.6667     0.8000         3\n"));
}

// As many as a job may have: a matrix of them would be 8 TiB.
TEST(Metrics, OfManyClassesOnlyWhatScoresAreMadeOfIsKept) {
  constexpr std::size_t kClasses = 1 << 20;
  const Labels labels = {0, 0, 7, 1'000'000}, predictions = {0, 7, 7, 0};
  const ClassificationReport report = report_of(kClasses, labels, predictions);
  EXPECT_EQ(report.accuracy, 0.5);
  expect_score(report.per_class[0], 0.5, 0.5, 0.5, 2);
  expect_score(report.per_class[7], 0.5, 1.0, 2.0 / 3.0, 1);
  expect_score(report.per_class[1'000'000], 0.0, 0.0, 0.0, 1);
  expect_score(report.weighted, (0.5 * 2 + 0.5) / 4, 0.5, (0.5 * 2 + 2.0 / 3.0) / 4, 4);
  EXPECT_EQ(report.confusion.total(), 4);
  EXPECT_THAT(to_table(report), HasSubstr("1000000     0.0000     0.0000     0.0000         1\n"));
}

// Beside the last number of them whose matrix is kept.
TEST(Metrics, ScoresDoNotDependOnWhetherTheMatrixIsKept) {
  RandomStream random(stream_key(2, "metrics test"));
  Labels labels, predictions;
  for (int i = 0; i < 2000; ++i) {
    labels.push_back(static_cast<std::int32_t>(random.below(kConfusionMax)));
    predictions.push_back(random.below(2) == 0 ? static_cast<std::int32_t>(random.below(kConfusionMax))
                                               : labels.back());
  }
  const ClassificationReport kept = report_of(kConfusionMax, labels, predictions);
  const ClassificationReport not_kept = report_of(kConfusionMax + 1, labels, predictions);
  EXPECT_EQ(kept.accuracy, not_kept.accuracy);
  for (std::size_t c = 0; c < kConfusionMax; ++c) {
    const Score& score = not_kept.per_class[c];
    expect_score(kept.per_class[c], score.precision, score.recall, score.f1, score.support);
  }
  EXPECT_FALSE(to_json(not_kept).contains("confusion"));
}

TEST(Metrics, JsonSaysAllOfIt) {
  const nlohmann::json json = to_json(report_of(2, {0, 0, 0, 1}, {0, 0, 1, 1}));
  EXPECT_EQ(json["samples"], 4);
  EXPECT_EQ(json["accuracy"], 0.75);
  EXPECT_EQ(json["confusion"], nlohmann::json::parse("[[2,1],[0,1]]"));
  EXPECT_EQ(json["per_class"][1]["precision"], 0.5);
  EXPECT_EQ(json["per_class"][0]["support"], 3);
  EXPECT_EQ(json["macro"]["precision"], 0.75);
  EXPECT_EQ(json["micro"]["f1"], 0.75);
  EXPECT_EQ(json["weighted"]["recall"], 0.75);
}

}  // namespace
}  // namespace rubato::model
