// A network of layers as a Model: checks batches and keeps a step plan for each size of batch that
// occurs (a job has few: the usual leaf and the two of a short last batch; the evaluation's two), all in one memory.
//
// Thread-safety: one owner, with its device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "model/layers.h"
#include "model/model.h"
#include "model/step_memory.h"
#include "model/step_plan.h"

namespace rubato::model {

// Sizes of batch that a network keeps plans for.
inline constexpr std::size_t kPlansMax = 16;  // of leases, if there are any

// The last few plans used, for one purpose. The least recently used one makes room.
class PlanCache {
 public:
  template <typename Make>
  Result<StepPlan*> find(std::int64_t samples, Make make) {
    const auto found =
        std::find_if(plans_.begin(), plans_.end(), [&](const auto& plan) { return plan->samples() == samples; });
    if (found != plans_.end()) {
      std::rotate(plans_.begin(), found, found + 1);
      return plans_.front().get();
    }
    if (plans_.size() == kPlansMax) plans_.pop_back();
    RUBATO_ASSIGN(auto plan, make());
    plans_.insert(plans_.begin(), std::move(plan));
    return plans_.front().get();
  }
  // Without those of other sizes.
  void keep_only(const StepPlan* plan) {
    std::erase_if(plans_, [plan](const auto& other) { return other.get() != plan; });
  }

 private:
  std::vector<std::unique_ptr<StepPlan>> plans_;  // most recently used first
};

class Network final : public Model {
 public:
  // The numbers of samples, outputs and positions of `loss` are the network's; `parameters` are those of its layers.
  Network(kernels::Device& device, std::vector<Layer> layers, std::vector<ParameterSpec> parameters,
          kernels::LossDesc loss, std::int64_t samples_max);

  [[nodiscard]] std::span<const ParameterSpec> parameters() const override { return parameters_; }
  [[nodiscard]] std::int64_t outputs() const override { return outputs_; }
  [[nodiscard]] Result<LeafStats> train_leaf(const Batch& batch, WeightSource& source, GradientSink& sink) override;
  [[nodiscard]] Result<Evaluation> evaluate(const Batch& batch, WeightSource& source) override;
  [[nodiscard]] Result<ModelMemory> memory_for(std::int64_t samples, bool training) override;
  void draw(timeline::Lane* lane) override { lane_ = lane; }

 private:
  [[nodiscard]] Status check(const Batch& batch, bool training) const;
  [[nodiscard]] Status check_lengths(const Batch& batch) const;
  [[nodiscard]] Status check_targets(const Batch& batch) const;
  [[nodiscard]] Status check_labels(std::span<const std::int32_t> labels) const;
  [[nodiscard]] std::span<std::int32_t> predictions_of(const Batch& batch);
  // The batch with no label that counts behind a sample's end.
  [[nodiscard]] Batch with_labels_that_are_there(const Batch& batch);
  Result<StepPlan*> plan_for(std::int64_t samples, StepPlan::Purpose purpose);
  void make_room(std::int64_t samples, StepPlan::Purpose purpose);
  [[nodiscard]] std::size_t result_bytes(std::int64_t samples, StepPlan::Purpose purpose) const;

  kernels::Device& device_;
  const std::vector<Layer> layers_;
  const std::vector<ParameterSpec> parameters_;
  kernels::LossDesc loss_;
  const std::int64_t samples_max_;
  kernels::TensorShape input_;  // of a sample; of a sequence the height is its positions
  std::int64_t outputs_ = 0;    // per sample
  Status takes_lengths_;
  bool has_dropout_ = false;
  std::vector<Layer> evaluation_layers_;  // without dropout
  StepMemory memory_{device_};
  PlanCache training_plans_, evaluation_plans_;
  std::vector<std::int32_t> predictions_, labels_;  // for the largest batch so far
  std::vector<float> scores_;                       // of those, the largest evaluation
  timeline::Lane* lane_ = nullptr;
};

}  // namespace rubato::model
