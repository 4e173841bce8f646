// Losses over a leaf: own loops, since scores are few. A loss is computed for each position of each sample by whichever
// thread; sums over them run in the order of the samples, in double, so the loss does not depend on threads.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "base/check.h"
#include "kernels/cpu/cross_entropy.h"
#include "kernels/cpu/ops.h"
#include "kernels/score_loss.h"

namespace rubato::kernels {
namespace {

std::int32_t predict(std::span<const float> scores) {
  if (scores.size() == 1) return scores[0] > 0.0f ? 1 : 0;
  return static_cast<std::int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

class CpuLoss final : public Loss {
 public:
  CpuLoss(const CpuContext& context, const LossDesc& desc);

  void bind(const float* scores, float* gradient) override {
    scores_ = scores;
    gradient_ = gradient;
  }
  Status enqueue(const Targets& targets, std::span<std::int32_t> predictions) override;
  Result<LossResult> result() override { return result_; }

 private:
  [[nodiscard]] double row_loss(std::span<const float> scores, const Targets& targets, std::size_t row,
                                float* gradient) const;
  [[nodiscard]] double elementwise(std::span<const float> scores, const Targets& targets, std::size_t sample,
                                   float* gradient) const;
  [[nodiscard]] double labelled(std::span<const float> scores, std::int32_t label, float* gradient) const;
  [[nodiscard]] LossResult sum_up(const Targets& targets, std::span<const std::int32_t> predictions);
  void scale_gradients(std::size_t sample, std::size_t labels);

  static constexpr std::int64_t kScoresOfAThread = 1 << 14;  // with fewer it is not worth to wake another

  const LossDesc desc_;
  const std::size_t samples_, positions_, outputs_;
  const int threads_;
  std::vector<double> losses_;  // of each position of each sample; with kNoLabel 0
  const float* scores_ = nullptr;
  float* gradient_ = nullptr;
  LossResult result_;
};

CpuLoss::CpuLoss(const CpuContext& context, const LossDesc& desc)
    : desc_(desc),
      samples_(static_cast<std::size_t>(desc.samples)),
      positions_(static_cast<std::size_t>(desc.positions)),
      outputs_(static_cast<std::size_t>(desc.outputs)),
      threads_(desc.samples * desc.positions * desc.outputs < 2 * kScoresOfAThread ? 1 : context.threads),
      losses_(samples_ * positions_) {
  RUBATO_CHECK(positions_ == 1 || desc.kind == LossDesc::Kind::kCrossEntropy, "positions are for cross-entropy");
}

Status CpuLoss::enqueue(const Targets& targets, std::span<std::int32_t> predictions) {
  const std::size_t rows = samples_ * positions_;
  RUBATO_CHECK(predictions.size() == rows, "room for {} predictions of {}", predictions.size(), rows);
  RUBATO_CHECK(targets.labels.size() == rows || targets.values.size() == rows * outputs_,
               "{} labels, {} values for {} samples", targets.labels.size(), targets.values.size(), samples_);
#pragma omp parallel for num_threads(threads_) if (threads_ > 1)
  for (std::size_t row = 0; row < rows; ++row) {
    const std::span<const float> scores(scores_ + row * outputs_, outputs_);
    losses_[row] = row_loss(scores, targets, row, gradient_ == nullptr ? nullptr : gradient_ + row * outputs_);
    predictions[row] = predict(scores);
  }
  result_ = sum_up(targets, predictions);
  return {};
}

double CpuLoss::row_loss(std::span<const float> scores, const Targets& targets, std::size_t row,
                         float* gradient) const {
  const bool by_label = desc_.kind == LossDesc::Kind::kCrossEntropy || targets.values.empty();
  if (by_label && targets.labels[row] == kNoLabel) {
    if (gradient != nullptr) std::fill_n(gradient, outputs_, 0.0f);
    return 0.0;
  }
  if (desc_.kind != LossDesc::Kind::kCrossEntropy) return elementwise(scores, targets, row, gradient);
  return labelled(scores, targets.labels[row], gradient);
}

double CpuLoss::labelled(std::span<const float> scores, std::int32_t label, float* gradient) const {
  const std::span<const double> weights = desc_.class_weights;
  if (!weights.empty() && desc_.smoothing > 0.0)
    return weighted_cross_entropy(scores, label, desc_.smoothing, weights, gradient);
  const double loss = outputs_ < kWideClasses ? cross_entropy(scores, label, desc_.smoothing, gradient)
                                              : wide_cross_entropy(scores, label, desc_.smoothing, gradient);
  if (weights.empty()) return loss;
  const double weight = weights[static_cast<std::size_t>(label)];
  for (std::size_t c = 0; gradient != nullptr && c < outputs_; ++c) gradient[c] *= static_cast<float>(weight);
  return weight * loss;
}

LossResult CpuLoss::sum_up(const Targets& targets, std::span<const std::int32_t> predictions) {
  LossResult result;
  for (std::size_t sample = 0; sample < samples_; ++sample) {
    double loss = 0.0;
    std::size_t labels = 0, hits = 0;
    for (std::size_t row = sample * positions_; row < (sample + 1) * positions_; ++row) {
      loss += losses_[row];
      if (targets.labels.empty()) continue;
      labels += targets.labels[row] == kNoLabel ? 0 : 1;
      hits += predictions[row] == targets.labels[row] ? 1 : 0;
    }
    if (hits > 0) result.correct += static_cast<double>(hits) / static_cast<double>(labels);
    result.loss_sum += labels > 1 ? loss / static_cast<double>(labels) : loss;
    if (gradient_ != nullptr && labels > 1) scale_gradients(sample, labels);
  }
  return result;
}

// To those of the mean over a sample's labels.
void CpuLoss::scale_gradients(std::size_t sample, std::size_t labels) {
  float* const gradient = gradient_ + sample * positions_ * outputs_;
  const float share = 1.0f / static_cast<float>(labels);
  for (std::size_t i = 0; i < positions_ * outputs_; ++i) gradient[i] *= share;
}

double CpuLoss::elementwise(std::span<const float> scores, const Targets& targets, std::size_t sample,
                            float* gradient) const {
  const bool binary = desc_.kind == LossDesc::Kind::kBinaryCrossEntropy;
  double share = 1.0 / static_cast<double>(scores.size());
  if (binary && !desc_.class_weights.empty() && targets.values.empty())
    share *= desc_.class_weights[static_cast<std::size_t>(targets.labels[sample])];
  double loss = 0.0;
  for (std::size_t c = 0; c < scores.size(); ++c) {
    double target = 0.0;
    if (!targets.values.empty()) {
      target = static_cast<double>(targets.values[sample * scores.size() + c]);
    } else {
      const std::int32_t label = targets.labels[sample];
      target = scores.size() == 1 ? static_cast<double>(label) : (static_cast<std::size_t>(label) == c ? 1.0 : 0.0);
    }
    const auto score = static_cast<double>(scores[c]);
    loss += binary ? binary_cross_entropy(score, target) : squared_error(score, target);
    if (gradient != nullptr) {
      const double slope = binary ? binary_cross_entropy_slope(score, target) : squared_error_slope(score, target);
      gradient[c] = static_cast<float>(share * slope);
    }
  }
  return share * loss;
}

}  // namespace

std::unique_ptr<Loss> make_loss(const CpuContext& context, const LossDesc& desc) {
  return std::make_unique<CpuLoss>(context, desc);
}

}  // namespace rubato::kernels
