// Losses over a leaf: own loops, since scores are few. Sums run over the samples in their order, in
// double, so the loss does not depend on threads.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/check.h"
#include "kernels/cpu/ops.h"

namespace rubato::kernels {
namespace {

// Writes the gradient where there is one; gives the loss of one sample.
double cross_entropy(std::span<const float> scores, std::int32_t label, float* gradient) {
  const float greatest = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (float score : scores) sum += std::exp(static_cast<double>(score - greatest));
  const auto target = static_cast<std::size_t>(label);
  if (gradient != nullptr) {
    for (std::size_t c = 0; c < scores.size(); ++c) {
      const double probability = std::exp(static_cast<double>(scores[c] - greatest)) / sum;
      gradient[c] = static_cast<float>(probability - (c == target ? 1.0 : 0.0));
    }
  }
  return std::log(sum) - static_cast<double>(scores[target] - greatest);
}

// max(s, 0) - s t + log(1 + exp(-|s|)): no overflow for any score.
double binary_cross_entropy(double score, double target) {
  return std::max(score, 0.0) - score * target + std::log1p(std::exp(-std::abs(score)));
}

double sigmoid(double score) { return 1.0 / (1.0 + std::exp(-score)); }

std::int32_t predict(std::span<const float> scores) {
  if (scores.size() == 1) return scores[0] > 0.0f ? 1 : 0;
  return static_cast<std::int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

class CpuLoss final : public Loss {
 public:
  explicit CpuLoss(const LossDesc& desc) : desc_(desc) {}

  void bind(const float* scores, float* gradient) override {
    scores_ = scores;
    gradient_ = gradient;
  }
  Result<LossResult> run(const Targets& targets, std::span<std::int32_t> predictions) override;

 private:
  [[nodiscard]] double elementwise(std::span<const float> scores, const Targets& targets, std::size_t sample,
                                   float* gradient) const;

  const LossDesc desc_;
  const float* scores_ = nullptr;
  float* gradient_ = nullptr;
};

Result<LossResult> CpuLoss::run(const Targets& targets, std::span<std::int32_t> predictions) {
  const auto samples = static_cast<std::size_t>(desc_.samples), outputs = static_cast<std::size_t>(desc_.outputs);
  RUBATO_CHECK(predictions.size() == samples, "room for {} predictions of {}", predictions.size(), samples);
  RUBATO_CHECK(targets.labels.size() == samples || targets.values.size() == samples * outputs,
               "{} labels, {} values for {} samples", targets.labels.size(), targets.values.size(), samples);
  LossResult result;
  for (std::size_t i = 0; i < samples; ++i) {
    const std::span<const float> scores(scores_ + i * outputs, outputs);
    float* gradient = gradient_ == nullptr ? nullptr : gradient_ + i * outputs;
    result.loss_sum += desc_.kind == LossDesc::Kind::kCrossEntropy ? cross_entropy(scores, targets.labels[i], gradient)
                                                                   : elementwise(scores, targets, i, gradient);
    predictions[i] = predict(scores);
    if (!targets.labels.empty() && predictions[i] == targets.labels[i]) ++result.correct;
  }
  return result;
}

double CpuLoss::elementwise(std::span<const float> scores, const Targets& targets, std::size_t sample,
                            float* gradient) const {
  const double share = 1.0 / static_cast<double>(scores.size());
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
    const bool binary = desc_.kind == LossDesc::Kind::kBinaryCrossEntropy;
    loss += binary ? binary_cross_entropy(score, target) : (score - target) * (score - target);
    if (gradient != nullptr) {
      const double slope = binary ? sigmoid(score) - target : 2.0 * (score - target);
      gradient[c] = static_cast<float>(share * slope);
    }
  }
  return share * loss;
}

}  // namespace

std::unique_ptr<Loss> make_loss(const LossDesc& desc) { return std::make_unique<CpuLoss>(desc); }

}  // namespace rubato::kernels
