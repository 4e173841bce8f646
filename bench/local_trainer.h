// Weights, momentum and gradients of a model in one process, without servers: what a bench or a test
// needs to train it. SGD with momentum, as PyTorch defines it, in a plain loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/parameter.h"
#include "base/rng.h"
#include "model/model.h"

namespace rubato::bench {

class LocalTrainer final : public model::WeightSource, public model::GradientSink {
 public:
  LocalTrainer(std::span<const ParameterSpec> parameters, std::uint64_t seed);

  std::span<const float> weights(std::size_t parameter) override { return weights_[parameter]; }
  Version version(std::size_t) override { return updates_; }
  std::span<float> gradient_buffer(std::size_t parameter) override { return gradients_[parameter]; }
  void ready(std::size_t) override {}

  // v = momentum v + g / samples; w -= rate v.
  void update(float rate, float momentum, std::int64_t samples);

 private:
  std::vector<std::vector<float>> weights_, velocities_, gradients_;
  Version updates_ = 0;
};

}  // namespace rubato::bench
