// A deep belief network (Hinton, Osindero and Teh, Neural Computation 18, 2006; Bengio et al., NIPS 2006): machines of
// binary units, one above the other, each trained for some epochs on the hidden probabilities of the one below, and
// then all of it with labels, as a network of sigmoid units under a last dense layer. Its parameters are those of that
// network and each machine's visible bias:
//
//   fc1.weight, fc1.bias, fc1.visible_bias, fc2.weight, ..., fcN.weight, fcN.bias
//
// Which machine an epoch trains is base/pretraining.h's. What it pushes is the estimate of the machine's gradient
// (kernels/rbm.h), and zeros for everything else: so any update rule applies, and everything else stands still but for
// what a momentum of before, or weight decay, does to it. The loss of such an epoch is the reconstruction error: the
// mean over samples and units of (v - v')^2.
//
// Persistent chains are states of the visible units of the machine that is trained: as many for each leaf of the batch
// as it has samples. They are the caller's (model/chains.h), so a leaf's go on wherever that leaf is computed.
//
// Thread-safety: one owner, with its device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/job.h"
#include "model/layers.h"
#include "model/network.h"

namespace rubato::model {

// The sigmoid layers; with visible biases where machines are trained.
void add_belief_layers(NetworkBuilder& net, const ModelConfig& config);

class Dbn final : public Model {
 public:
  // `layers` and `parameters` are those of the whole network. Only for a configuration that trains machines.
  Dbn(kernels::Device& device, std::vector<Layer> layers, std::vector<ParameterSpec> parameters, kernels::LossDesc loss,
      std::int64_t samples_max, const ModelConfig& config, std::uint64_t seed);

  [[nodiscard]] std::span<const ParameterSpec> parameters() const override { return network_.parameters(); }
  [[nodiscard]] std::int64_t outputs() const override { return network_.outputs(); }
  [[nodiscard]] Result<LeafStats> train_leaf(const Batch& batch, WeightSource& source, GradientSink& sink) override;
  [[nodiscard]] Result<Evaluation> evaluate(const Batch& batch, WeightSource& source) override;
  void evaluate_as_of(std::uint64_t epoch) override { evaluated_ = machine_of_epoch(epoch); }
  [[nodiscard]] Result<ModelMemory> memory_for(std::int64_t samples, bool training) override;
  void draw(timeline::Lane* lane) override;

 private:
  [[nodiscard]] std::optional<std::size_t> machine_of_epoch(std::uint64_t epoch) const;
  [[nodiscard]] Status check(const Batch& batch) const;
  Result<kernels::Rbm*> machine(std::size_t number);
  Result<kernels::RbmWeights> weights_of(std::size_t machine, WeightSource& source) const;
  // The probabilities that this machine sees.
  Result<std::span<const float>> climb(std::size_t machine, const Batch& batch, WeightSource& source);

  kernels::Device& device_;
  Network network_;
  const ModelConfig config_;
  const std::int64_t samples_max_;
  const std::uint64_t seed_;
  std::vector<std::int64_t> units_;  // of the input, and of each machine's hidden side
  std::vector<std::unique_ptr<kernels::Rbm>> machines_;
  std::vector<float> below_, above_;  // on the way up
  std::optional<std::size_t> evaluated_;
  timeline::Lane* lane_ = nullptr;
};

}  // namespace rubato::model
