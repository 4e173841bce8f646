// The quadratic: no network at all. The loss of a sample x is 0.5 |w - x|^2, so the gradient of a leaf
// of n samples is n w - sum x and the best w is the mean of the samples. Protocol tests and the
// simulator train it: cheap, without a device, and anyone can compute the answer.
//
// Determinism: sums run over the samples in their order, in double, and are rounded once.
// Thread-safety: one owner.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "model/model.h"

namespace rubato::model {

class Quadratic final : public Model {
 public:
  Quadratic(std::int64_t size, std::int64_t samples_max);

  [[nodiscard]] std::span<const ParameterSpec> parameters() const override { return parameters_; }
  [[nodiscard]] std::int64_t outputs() const override { return 0; }
  [[nodiscard]] Result<LeafStats> train_leaf(const Batch& batch, WeightSource& source, GradientSink& sink) override;
  [[nodiscard]] Result<Evaluation> evaluate(const Batch& batch, WeightSource& source) override;

 private:
  // The weights, or the error that they do not come.
  [[nodiscard]] Result<std::span<const float>> weights(WeightSource& source) const;

  const std::size_t size_;
  const std::int64_t samples_max_;
  std::array<ParameterSpec, 1> parameters_;
};

}  // namespace rubato::model
