#include "kernels/cpu/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace rubato::kernels {

double cross_entropy(std::span<const float> scores, std::int32_t label, double smoothing, float* gradient) {
  const float greatest = *std::max_element(scores.begin(), scores.end());
  const double each = smoothing / static_cast<double>(scores.size());  // what every class is to have at least
  double sum = 0.0, below = 0.0;
  for (const float score : scores) {
    sum += std::exp(static_cast<double>(score - greatest));
    below += static_cast<double>(score - greatest);
  }
  const auto target = static_cast<std::size_t>(label);
  if (gradient != nullptr) {
    for (std::size_t c = 0; c < scores.size(); ++c) {
      const double probability = std::exp(static_cast<double>(scores[c] - greatest)) / sum;
      gradient[c] = static_cast<float>(probability - (c == target ? 1.0 - smoothing + each : each));
    }
  }
  const double loss = std::log(sum) - (1.0 - smoothing) * static_cast<double>(scores[target] - greatest);
  return smoothing == 0.0 ? loss : loss - each * below;  // 0 times a score that is not finite is no number
}

// The targets t add up to 1, and T = sum(w t) does not: the gradient of -sum(w t log p) is T p - w t.
double weighted_cross_entropy(std::span<const float> scores, std::int32_t label, double smoothing,
                              std::span<const double> weights, float* gradient) {
  const auto greatest = static_cast<double>(*std::max_element(scores.begin(), scores.end()));
  const auto target_of = [&](std::size_t c) {
    const double each = smoothing / static_cast<double>(scores.size());
    return weights[c] * (c == static_cast<std::size_t>(label) ? 1.0 - smoothing + each : each);
  };
  double sum = 0.0, all = 0.0;
  for (std::size_t c = 0; c < scores.size(); ++c) {
    sum += std::exp(static_cast<double>(scores[c]) - greatest);
    all += target_of(c);
  }
  const double log_sum = std::log(sum);
  double loss = 0.0;
  for (std::size_t c = 0; c < scores.size(); ++c) {
    const double log_probability = static_cast<double>(scores[c]) - greatest - log_sum;
    loss -= target_of(c) * log_probability;
    if (gradient != nullptr) gradient[c] = static_cast<float>(all * std::exp(log_probability) - target_of(c));
  }
  return loss;
}

}  // namespace rubato::kernels
