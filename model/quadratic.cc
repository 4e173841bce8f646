#include "model/quadratic.h"

#include "base/check.h"
#include "model/check_inputs.h"

namespace rubato::model {
namespace {

double loss_of(std::span<const float> weights, std::span<const float> inputs) {
  double twice = 0.0;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const double distance = static_cast<double>(weights[k % weights.size()]) - static_cast<double>(inputs[k]);
    twice += distance * distance;
  }
  return 0.5 * twice;
}

}  // namespace

Quadratic::Quadratic(std::int64_t size, std::int64_t samples_max)
    : size_(static_cast<std::size_t>(size)), samples_max_(samples_max) {
  parameters_[0] = {.name = "w", .shape = {size}, .initializer = {InitializerKind::kUniform, 1.0f}};
}

Result<std::span<const float>> Quadratic::weights(WeightSource& source) const {
  const std::span<const float> weights = source.weights(0);
  if (weights.empty()) return Error{Cause::kInterrupted, "the weights of w did not come"};
  RUBATO_CHECK(weights.size() == size_, "{} weights of {}", weights.size(), size_);
  return weights;
}

Result<LeafStats> Quadratic::train_leaf(const Batch& batch, WeightSource& source, GradientSink& sink) {
  RUBATO_TRY(check_inputs(batch, samples_max_, static_cast<std::int64_t>(size_)));
  RUBATO_ASSIGN(const std::span<const float> w, weights(source));
  const std::span<float> gradient = sink.gradient_buffer(0);
  RUBATO_CHECK(gradient.size() == size_, "room for {} gradients of {}", gradient.size(), size_);
  for (std::size_t j = 0; j < size_; ++j) {
    double sum = 0.0;
    for (std::size_t k = j; k < batch.inputs.size(); k += size_) {
      sum += static_cast<double>(w[j]) - static_cast<double>(batch.inputs[k]);
    }
    gradient[j] = static_cast<float>(sum);
  }
  const double loss = loss_of(w, batch.inputs);
  sink.ready(0);
  return LeafStats{loss, static_cast<std::int64_t>(batch.samples()), 0};
}

Result<Evaluation> Quadratic::evaluate(const Batch& batch, WeightSource& source) {
  RUBATO_TRY(check_inputs(batch, samples_max_, static_cast<std::int64_t>(size_)));
  RUBATO_ASSIGN(const std::span<const float> w, weights(source));
  return Evaluation{loss_of(w, batch.inputs), static_cast<std::int64_t>(batch.samples()), 0, {}, {}};
}

}  // namespace rubato::model
