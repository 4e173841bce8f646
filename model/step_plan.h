// A network planned for one number of samples, for training or for evaluation: every operation with its
// memory, composed once. Running it allocates nothing and looks nothing up.
//
// Memory is one buffer. In training every activation has a place of its own, since backward reads it,
// and the gradients of activations take turns in two; in evaluation the activations do.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/backend.h"
#include "model/layers.h"
#include "model/model.h"

namespace rubato::model {

class StepPlan {
 public:
  enum class Purpose : std::uint8_t { kTraining, kEvaluation };

  // `layers` and `parameters` belong together and must outlive the plan.
  static Result<std::unique_ptr<StepPlan>> make(kernels::Device& device, std::span<const Layer> layers,
                                                std::span<const ParameterSpec> parameters, kernels::LossDesc::Kind loss,
                                                std::int64_t samples, Purpose purpose);

  [[nodiscard]] std::int64_t samples() const { return samples_; }
  [[nodiscard]] const float* scores() const { return scores_; }

  [[nodiscard]] ModelMemory memory() const;
  // On which timeline; null: none.
  void draw(timeline::Lane* lane) { lane_ = lane; }

  Result<kernels::LossResult> forward(const Batch& batch, WeightSource& source, std::span<std::int32_t> predictions);
  Status backward(GradientSink& sink);

 private:
  struct Stage {
    std::string_view name;  // of its layer
    std::unique_ptr<kernels::Op> op;
    std::size_t first_parameter = 0;
    std::size_t parameters = 0;
    bool input_gradient = false;
  };

  StepPlan(kernels::Device& device, std::span<const ParameterSpec> parameters, std::int64_t samples)
      : device_(device), parameters_(parameters), samples_(samples) {}

  Status plan_stages(std::span<const Layer> layers, bool training);
  Status lay_out(bool training);
  Status load(const Stage& stage, WeightSource& source);
  Status backward_weights(const Stage& stage, GradientSink& sink);

  kernels::Device& device_;
  std::span<const ParameterSpec> parameters_;
  const std::int64_t samples_;
  std::vector<Stage> stages_;
  std::unique_ptr<kernels::Loss> loss_;
  kernels::Buffer memory_;
  float* inputs_ = nullptr;
  const float* scores_ = nullptr;
  std::vector<std::span<float>> gradients_;  // of one stage; kept for its storage
  timeline::Lane* lane_ = nullptr;
};

}  // namespace rubato::model
