// Losses on every device, against their definitions in float64 and finite differences of those. Scores
// within [-4, 4] and at most 10 outputs: values of order 1 and gradients at most 8, each rounded to
// float32 once from float64 or a few times in float32, so 1e-6 relative to 8 is enough.
#include <algorithm>
#include <cmath>

#include "tests/kernels/backend_fixture.h"

namespace rubato::kernels {
namespace {

using Kind = LossDesc::Kind;
constexpr double kTolerance = 8e-6;

// By the textbook, without a care for overflow. `t`: one-hot, 0 or 1, or given values.
double definition(Kind kind, const std::vector<double>& s, const std::vector<double>& t) {
  double loss = 0.0, sum = 0.0;
  for (double score : s) sum += std::exp(score);
  for (std::size_t c = 0; c < s.size(); ++c) {
    const double p = 1.0 / (1.0 + std::exp(-s[c])), share = 1.0 / static_cast<double>(s.size());
    if (kind == Kind::kCrossEntropy) loss -= t[c] * std::log(std::exp(s[c]) / sum);
    if (kind == Kind::kBinaryCrossEntropy) loss -= share * (t[c] * std::log(p) + (1.0 - t[c]) * std::log(1.0 - p));
    if (kind == Kind::kMeanSquaredError) loss += share * (s[c] - t[c]) * (s[c] - t[c]);
  }
  return loss;
}

struct Outcome {
  LossResult result;
  std::vector<float> gradient;
  std::vector<std::int32_t> predictions;
};

class BackendLoss : public BackendTest {
 protected:
  Outcome run(const LossDesc& desc, const std::vector<float>& scores, const Targets& targets) {
    const DeviceFloats device_scores(*device_, scores);
    const DeviceFloats gradient(*device_, scores.size(), std::nanf(""));
    auto loss = device_->plan_loss(desc).value();
    loss->bind(device_scores.data(), gradient.data());
    Outcome outcome;
    outcome.predictions.resize(static_cast<std::size_t>(desc.samples * desc.positions));
    outcome.result = loss->run(targets, outcome.predictions).value();
    outcome.gradient = gradient.values();
    return outcome;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, BackendLoss, kDevices, device_test_name);

void check(const LossDesc& desc, const std::vector<float>& scores, const std::vector<double>& targets,
           const Outcome& outcome, double tolerance = kTolerance) {
  const auto outputs = static_cast<std::size_t>(desc.outputs);
  double total = 0.0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(desc.samples); ++i) {
    std::vector<double> s(scores.begin() + i * outputs, scores.begin() + (i + 1) * outputs);
    const std::vector<double> t(targets.begin() + i * outputs, targets.begin() + (i + 1) * outputs);
    total += definition(desc.kind, s, t);
    for (std::size_t c = 0; c < outputs; ++c) {
      constexpr double h = 1e-6;
      const double kept = s[c];
      s[c] = kept + h;
      const double above = definition(desc.kind, s, t);
      s[c] = kept - h;
      const double below = definition(desc.kind, s, t);
      s[c] = kept;
      EXPECT_NEAR(outcome.gradient[i * outputs + c], (above - below) / (2 * h), tolerance) << i << ", " << c;
    }
  }
  EXPECT_NEAR(outcome.result.loss_sum, total, tolerance * static_cast<double>(desc.samples));
}

std::vector<float> random_scores(std::size_t count) {
  std::vector<float> scores = random_floats(count, "scores");
  for (float& score : scores) score *= 4.0f;
  return scores;
}

TEST_P(BackendLoss, AgreesWithItsDefinitionOnLabels) {
  for (const Kind kind : {Kind::kCrossEntropy, Kind::kBinaryCrossEntropy, Kind::kMeanSquaredError}) {
    for (const auto& [samples, outputs] : {std::pair{1, 2}, {7, 3}, {33, 10}}) {
      SCOPED_TRACE(testing::Message() << "kind " << static_cast<int>(kind) << ", " << samples << " x " << outputs);
      const std::vector<float> scores = random_scores(static_cast<std::size_t>(samples * outputs));
      std::vector<std::int32_t> labels;
      std::vector<double> one_hot(scores.size(), 0.0);
      for (int i = 0; i < samples; ++i) {
        labels.push_back(i % outputs);
        one_hot[static_cast<std::size_t>(i * outputs + i % outputs)] = 1.0;
      }
      const LossDesc desc{kind, samples, outputs};
      const Outcome outcome = run(desc, scores, {labels, {}});
      check(desc, scores, one_hot, outcome);
      double correct = 0.0;
      for (int i = 0; i < samples; ++i) {
        const auto first = scores.begin() + i * outputs;
        const auto best = std::max_element(first, first + outputs) - first;
        EXPECT_EQ(outcome.predictions[static_cast<std::size_t>(i)], best);
        correct += best == labels[static_cast<std::size_t>(i)] ? 1.0 : 0.0;
      }
      EXPECT_EQ(outcome.result.correct, correct);
    }
  }
}

TEST_P(BackendLoss, TakesValuesAsTargets) {
  for (const Kind kind : {Kind::kBinaryCrossEntropy, Kind::kMeanSquaredError}) {
    const LossDesc desc{kind, 5, 3};
    const std::vector<float> scores = random_scores(15);
    std::vector<float> values = random_floats(15, "targets");
    for (float& value : values) value = 0.5f + 0.5f * value;
    check(desc, scores, {values.begin(), values.end()}, run(desc, scores, {{}, values}));
  }
}

TEST_P(BackendLoss, OneOutputSaysYesOrNo) {
  const LossDesc desc{Kind::kBinaryCrossEntropy, 4, 1};
  const std::vector<float> scores = {2.0f, -1.0f, 0.0f, 3.0f};
  const std::vector<std::int32_t> labels = {1, 0, 1, 0};
  const Outcome outcome = run(desc, scores, {labels, {}});
  check(desc, scores, {1.0, 0.0, 1.0, 0.0}, outcome);
  EXPECT_EQ(outcome.predictions, (std::vector<std::int32_t>{1, 0, 0, 1}));
  EXPECT_EQ(outcome.result.correct, 2.0);
}

// Five samples of three positions: what a position's loss and gradient are by its own, divided by how many of its
// sample have a label.
TEST_P(BackendLoss, IsTheMeanOverAPositionsWithALabel) {
  constexpr std::int64_t kSamples = 5, kPositions = 3;
  for (const std::int64_t outputs : {4, 70}) {
    SCOPED_TRACE(outputs);
    const std::vector<float> scores = random_scores(static_cast<std::size_t>(kSamples * kPositions * outputs));
    std::vector<std::int32_t> labels(kSamples * kPositions);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i) % 4;
    labels[4] = labels[6] = labels[8] = kNoLabel;    // one of sample 1, two of sample 2,
    labels[9] = labels[10] = labels[11] = kNoLabel;  // and all of sample 3
    LossDesc each{Kind::kCrossEntropy, 1, outputs}, all = each;
    all.samples = kSamples, all.positions = kPositions;
    const Outcome outcome = run(all, scores, {labels, {}});
    double loss = 0.0, correct = 0.0;
    const std::size_t labelled[] = {3, 2, 1, 0, 3};
    for (std::size_t row = 0; row < labels.size(); ++row) {
      const auto first = scores.begin() + static_cast<std::ptrdiff_t>(row) * outputs;
      const auto share = 1.0 / static_cast<double>(labelled[row / kPositions]);
      std::vector<float> expected(static_cast<std::size_t>(outputs), 0.0f);
      if (labels[row] != kNoLabel) {
        const Outcome alone = run(each, {first, first + outputs}, {{&labels[row], 1}, {}});
        loss += share * alone.result.loss_sum;
        correct += share * alone.result.correct;
        for (std::size_t c = 0; c < expected.size(); ++c) expected[c] = alone.gradient[c] * static_cast<float>(share);
      }
      for (std::size_t c = 0; c < expected.size(); ++c)
        EXPECT_EQ(outcome.gradient[row * expected.size() + c], expected[c]) << row << ", " << c;
    }
    EXPECT_NEAR(outcome.result.loss_sum, loss, 1e-12);
    EXPECT_NEAR(outcome.result.correct, correct, 1e-12);
  }
}

TEST_P(BackendLoss, SmoothedLabelsSpreadTheirProbability) {
  for (const std::int64_t outputs : {5, 64, 100}) {
    LossDesc desc{Kind::kCrossEntropy, 3, outputs};
    desc.smoothing = 0.1;
    const std::vector<float> scores = random_scores(static_cast<std::size_t>(3 * outputs));
    const std::vector<std::int32_t> labels = {0, static_cast<std::int32_t>(outputs - 1), 2};
    std::vector<double> targets(scores.size(), 0.1 / static_cast<double>(outputs));
    for (std::size_t i = 0; i < 3; ++i)
      targets[i * static_cast<std::size_t>(outputs) + static_cast<std::size_t>(labels[i])] += 0.9;
    check(desc, scores, targets, run(desc, scores, {labels, {}}));
  }
}

// The sum of n exponentials in float32, in l lanes, is off by (n / l + log2(l) + 2) units of the last place at most,
// relative, and with it probabilities and the loss: of 256 classes in 8 lanes 37 units of 2^-23, 4.4e-6. (In 4, of a
// build for no particular processor, 8.1e-6, of which sums come to a tenth.) The check allows 8e-6.
TEST_P(BackendLoss, OfManyClassesAgreesWithItsDefinition) {
  for (const std::int64_t outputs : {64, 71, 256}) {
    SCOPED_TRACE(outputs);
    const LossDesc desc{Kind::kCrossEntropy, 6, outputs};
    const std::vector<float> scores = random_scores(static_cast<std::size_t>(6 * outputs));
    std::vector<std::int32_t> labels;
    std::vector<double> one_hot(scores.size(), 0.0);
    for (std::int64_t i = 0; i < 6; ++i) {
      labels.push_back(static_cast<std::int32_t>(37 * i % outputs));
      one_hot[static_cast<std::size_t>(i * outputs + labels.back())] = 1.0;
    }
    check(desc, scores, one_hot, run(desc, scores, {labels, {}}));
  }
}

// Each class's part times its weight, with and without smoothing, of few classes and of many. Weights are 4 at most, so
// what is computed in float32 is off by so much more.
TEST_P(BackendLoss, ClassesHaveTheirWeights) {
  for (const std::int64_t outputs : {5, 64, 100})
    for (const double smoothing : {0.0, 0.2}) {
      SCOPED_TRACE(testing::Message() << outputs << " classes, smoothing " << smoothing);
      const auto width = static_cast<std::size_t>(outputs);
      LossDesc desc{Kind::kCrossEntropy, 3, outputs};
      desc.smoothing = smoothing;
      for (std::size_t c = 0; c < width; ++c) desc.class_weights.push_back(4.0 * static_cast<double>(c % 4) / 3.0);
      const std::vector<float> scores = random_scores(3 * width);
      const std::vector<std::int32_t> labels = {3, static_cast<std::int32_t>(outputs - 1), 2};
      std::vector<double> targets(scores.size());
      for (std::size_t i = 0; i < targets.size(); ++i) {
        const std::size_t c = i % width;
        const bool label = c == static_cast<std::size_t>(labels[i / width]);
        targets[i] =
            desc.class_weights[c] * (smoothing / static_cast<double>(outputs) + (label ? 1.0 - smoothing : 0.0));
      }
      check(desc, scores, targets, run(desc, scores, {labels, {}}), 4.0 * kTolerance);
    }
}

TEST_P(BackendLoss, OfTwoClassesAndOneOutputEachHasItsWeight) {
  LossDesc plain{Kind::kBinaryCrossEntropy, 4, 1}, weighted = plain;
  weighted.class_weights = {0.5, 3.0};
  const std::vector<float> scores = {2.0f, -1.0f, 0.5f, 3.0f};
  const std::vector<std::int32_t> labels = {1, 0, 1, 0};
  const Outcome before = run(plain, scores, {labels, {}}), after = run(weighted, scores, {labels, {}});
  double loss = 0.0;
  for (std::size_t i = 0; i < 4; ++i) {
    const float weight = labels[i] == 1 ? 3.0f : 0.5f;
    EXPECT_FLOAT_EQ(after.gradient[i], weight * before.gradient[i]);
    LossDesc one = plain;
    one.samples = 1;
    loss += static_cast<double>(weight) * run(one, {scores[i]}, {{&labels[i], 1}, {}}).result.loss_sum;
  }
  EXPECT_NEAR(after.result.loss_sum, loss, 1e-12);
  EXPECT_EQ(after.predictions, before.predictions);
}

TEST_P(BackendLoss, OfClassesThatCountNothingThereIsNoLossAndNoGradient) {
  for (const std::int64_t outputs : {1, 5, 70}) {
    SCOPED_TRACE(testing::Message() << outputs << " outputs");
    LossDesc desc{outputs == 1 ? Kind::kBinaryCrossEntropy : Kind::kCrossEntropy, 3, outputs};
    desc.class_weights.assign(static_cast<std::size_t>(std::max<std::int64_t>(outputs, 2)), 3.0);
    desc.class_weights[0] = 0.0;
    const std::vector<float> scores = random_scores(3 * static_cast<std::size_t>(outputs));
    const std::vector<std::int32_t> labels = {0, 0, 0};
    const Outcome outcome = run(desc, scores, {labels, {}});
    EXPECT_EQ(outcome.result.loss_sum, 0.0);
    EXPECT_EQ(outcome.gradient, std::vector<float>(scores.size(), 0.0f));
  }
}

// Zeros and no NaN, also of a batch that has no label at all.
TEST_P(BackendLoss, WithoutALabelThereIsNoLossAndNoGradient) {
  for (const Kind kind : {Kind::kCrossEntropy, Kind::kBinaryCrossEntropy, Kind::kMeanSquaredError})
    for (const std::int64_t outputs : {1, 3, 70}) {
      if (outputs == 1 && kind == Kind::kCrossEntropy) continue;
      const LossDesc desc{kind, 2, outputs};
      const auto width = static_cast<std::size_t>(outputs);
      const std::vector<float> scores = random_scores(2 * width);
      const std::vector<std::int32_t> none = {kNoLabel, kNoLabel}, one = {kNoLabel, 0};
      const Outcome nothing = run(desc, scores, {none, {}}), second = run(desc, scores, {one, {}});
      EXPECT_EQ(nothing.result.loss_sum, 0.0);
      EXPECT_EQ(nothing.result.correct, 0.0);
      EXPECT_EQ(nothing.gradient, std::vector<float>(2 * width, 0.0f));
      LossDesc alone = desc;
      alone.samples = 1;
      const std::vector<float> own(scores.begin() + outputs, scores.end());
      const std::vector<std::int32_t> label = {0};
      const Outcome expected = run(alone, own, {label, {}});
      EXPECT_EQ(second.result.loss_sum, expected.result.loss_sum);
      EXPECT_EQ(std::vector<float>(second.gradient.begin() + outputs, second.gradient.end()), expected.gradient);
    }
}

TEST_P(BackendLoss, WhatIsNoNumberStaysSo) {
  for (const std::int64_t outputs : {3, 80}) {
    std::vector<float> scores(static_cast<std::size_t>(outputs), 0.5f);
    scores[1] = std::nanf("");
    const std::vector<std::int32_t> labels = {1};
    const Outcome outcome = run({Kind::kCrossEntropy, 1, outputs}, scores, {labels, {}});
    EXPECT_TRUE(std::isnan(outcome.result.loss_sum));
    EXPECT_TRUE(std::isnan(outcome.gradient[1]));
  }
}

TEST_P(BackendLoss, HugeScoresStayFinite) {
  const std::vector<float> scores = {1e4f, -1e4f, 0.0f, -3e38f, 3e38f, 0.0f};
  const std::vector<std::int32_t> labels = {1, 1};
  for (const Kind kind : {Kind::kCrossEntropy, Kind::kBinaryCrossEntropy}) {
    const Outcome outcome = run({kind, 2, 3}, scores, {labels, {}});
    EXPECT_TRUE(std::isfinite(outcome.result.loss_sum)) << static_cast<int>(kind);
    for (float gradient : outcome.gradient) EXPECT_LE(std::abs(gradient), 1.0f);
  }
}

TEST_P(BackendLoss, OfEqualScoresTheFirstIsPredicted) {
  const std::vector<float> scores = {1.0f, 2.0f, 2.0f};
  const std::vector<std::int32_t> labels = {2};
  EXPECT_EQ(run({Kind::kCrossEntropy, 1, 3}, scores, {labels, {}}).predictions[0], 1);
}

}  // namespace
}  // namespace rubato::kernels
