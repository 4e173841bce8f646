#include "bench/local_trainer.h"

#include "kernels/initialize.h"

namespace rubato::bench {

LocalTrainer::LocalTrainer(std::span<const ParameterSpec> parameters, std::uint64_t seed) {
  for (const ParameterSpec& spec : parameters) {
    const auto elements = static_cast<std::size_t>(spec.elements());
    weights_.emplace_back(elements);
    kernels::initialize(spec, seed, 0, weights_.back());
    velocities_.emplace_back(elements, 0.0f);
    gradients_.emplace_back(elements, 0.0f);
  }
}

void LocalTrainer::update(float rate, float momentum, std::int64_t samples) {
  const float scale = 1.0f / static_cast<float>(samples);
  for (std::size_t p = 0; p < weights_.size(); ++p) {
    float* __restrict w = weights_[p].data();
    float* __restrict v = velocities_[p].data();
    const float* __restrict g = gradients_[p].data();
    for (std::size_t i = 0; i < weights_[p].size(); ++i) {
      v[i] = momentum * v[i] + scale * g[i];
      w[i] -= rate * v[i];
    }
  }
  ++updates_;
}

}  // namespace rubato::bench
