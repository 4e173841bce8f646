// A network planned for one number of samples, for training or for evaluation: every operation with its
// memory, composed once. Running it allocates nothing and looks nothing up.
//
// Memory is one buffer (model/step_memory.h), in which whatever is not needed at the same time takes turns
// (model/memory_plan.h): in training activations live until backward has read them, in evaluation until the next layer
// has.
//
// A tensor that several layers read gets a gradient from each of them, in a buffer of its own; what a layer adds to its
// result has the gradient of the result, in the same buffer (kernels/backend.h). They are added up before the layer
// that made the tensor goes backward.
//
// A device may be behind its caller: a step enqueues forward and backward, and hands each layer's gradient over as soon
// as its copy to the host is there, while the layers before it are still computed.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/backend.h"
#include "model/layers.h"
#include "model/model.h"
#include "model/step_memory.h"
#include "model/step_recordings.h"

namespace rubato::model {

class StepPlan {
 public:
  enum class Purpose : std::uint8_t { kTraining, kEvaluation };

  // `layers` and `parameters` belong together and must outlive the plan. It may lie where others of `memory` do: then
  // what it keeps between forward and backward is good until another one runs.
  static Result<std::unique_ptr<StepPlan>> make(kernels::Device& device, std::span<const Layer> layers,
                                                std::span<const ParameterSpec> parameters, kernels::LossDesc loss,
                                                std::int64_t samples, Purpose purpose, StepMemory& memory);

  [[nodiscard]] std::int64_t samples() const { return samples_; }
  [[nodiscard]] const float* scores() const { return scores_; }

  [[nodiscard]] ModelMemory memory() const;
  // Why steps are launched call by call; empty: they are not, or nothing is known yet.
  [[nodiscard]] std::string_view plain_because() const { return recordings_.given_up_because(); }
  // On which timeline; null: none.
  void draw(timeline::Lane* lane) { lane_ = lane; }

  // All that is enqueued is over when they return, also with an error.
  Result<kernels::LossResult> train(const Batch& batch, WeightSource& source, GradientSink& sink,
                                    std::span<std::int32_t> predictions);
  Result<kernels::LossResult> evaluate(const Batch& batch, WeightSource& source, std::span<std::int32_t> predictions);

 private:
  struct Stage {
    std::string_view name;  // of its layer
    std::unique_ptr<kernels::Op> op;
    TensorId input = 0, addend = 0;
    bool adds = false;
    std::size_t first_parameter = 0;
    std::size_t parameters = 0;
    bool trained = false;         // it has parameters, and not all of them are frozen
    bool learns = false;          // it, or what it reads, is trained
    bool input_gradient = false;  // what it reads as its input has
    bool addend_gradient = false;
    // Of its output, a gradient from each reader: the one that the operation works on, and those that it does not add
    // to that one itself.
    float* gradient = nullptr;
    std::vector<const float*> more;
  };
  struct Tenants;

  StepPlan(kernels::Device& device, std::span<const ParameterSpec> parameters, std::int64_t samples)
      : device_(device), parameters_(parameters), samples_(samples), recordings_(device, samples) {}

  Status plan_stages(std::span<const Layer> layers, bool training);
  void plan_gradients(Tenants& tenants);
  Status lay_out(bool training, StepMemory& memory);
  Status gather_gradient(const Stage& stage);
  Status load(const Stage& stage, WeightSource& source);
  Result<kernels::LossResult> after(Result<kernels::LossResult> done);
  Status begin(const Batch& batch);
  Status enqueue_forward(const Batch& batch, WeightSource* source, std::span<std::int32_t> predictions);
  Result<kernels::LossResult> forward_result();
  Result<kernels::LossResult> run_training(const Batch& batch, WeightSource& source, GradientSink& sink,
                                           std::span<std::int32_t> predictions);
  Status enqueue_training(const Batch& batch, std::span<std::int32_t> predictions);
  void take_buffers(const Stage& stage, GradientSink& sink);
  Status enqueue_backward(const Stage& stage);
  Status enqueue_backward_data(const Stage& stage);
  Status backward_weights(const Stage& stage);
  [[nodiscard]] bool may_record();
  Status run_recorded(const Batch& batch, WeightSource& source, GradientSink& sink,
                      std::span<std::int32_t> predictions);
  Status bring_inputs(const Batch& batch);
  Status bring_ahead(const Batch& batch);
  Status hand_over(const Batch& batch, std::optional<kernels::LossResult>& loss, GradientSink& sink, bool wait);

  kernels::Device& device_;
  std::span<const ParameterSpec> parameters_;
  const std::int64_t samples_;
  std::vector<Stage> stages_;
  std::unique_ptr<kernels::Loss> loss_;
  std::shared_ptr<const kernels::Buffer> memory_;
  std::size_t memory_bytes_ = 0;  // of it, that this plan uses
  float* inputs_ = nullptr;
  const float* scores_ = nullptr;
  std::vector<std::span<float>> gradients_;      // of each parameter, in a step: where they go
  StepRecordings recordings_;                    // of training steps
  std::unique_ptr<kernels::Prefetch> prefetch_;  // in training, where the device has a use for it
  std::vector<std::uint64_t> ahead_;             // samples of the batch that has come ahead; none: none
  std::uint64_t ahead_epoch_ = 0;
  std::vector<SentGradients> sent_;  // in a step, in order
  std::size_t handed_over_ = 0;      // of them
  timeline::Lane* lane_ = nullptr;
};

}  // namespace rubato::model
