// Computes a clock of local steps (mode local:H): a worker starts from the weights pulled, takes up to H steps of
// the inner optimizer on a copy of its own (worker/local_steps.h says of which samples), and hands on how far they
// took it. The rate of the clock's grant holds for all of its steps.
//
// The gradients of a step come slice by slice, as backward makes them, and so do the updates: in the last step a
// slice's delta leaves while backward goes on with the layers below. Updates go from one copy to another, because
// backward still reads the weights of the step.
//
// Thread-safety: belongs to the compute thread.
#pragma once

#include <array>
#include <optional>

#include "base/job.h"
#include "model/model.h"
#include "worker/arena.h"
#include "worker/inner_optimizer.h"
#include "worker/pinned_arenas.h"
#include "worker/step_runner.h"
#include "worker/weight_table.h"
#include "worker/worker_state.h"

namespace rubato::worker {

class LocalRunner {
 public:
  using Report = StepRunner::Report;

  // `steps` and `layout` outlive it. `layout` is of this manifest and routing. `device`: that reads the
  // copies, which are pinned for it; null: they are not.
  LocalRunner(const Job& job, StepRunner& steps, const SliceLayout& layout, const protocol::Manifest& manifest,
              const protocol::RoutingTable& routing, std::shared_ptr<Memory> memory, kernels::Device* device = nullptr);

  // The weights pulled come through `pulled`, which waits for them, and then lie in `table`. Errors: those of
  // StepRunner::run.
  [[nodiscard]] Result<StepComputed> run(const ComputeStep& order, model::WeightSource& pulled,
                                         const WeightTable& table, WorkerState& kept, const Report& report);

 private:
  // The worker's own copy, as the model reads it in all steps but the first.
  class Copy final : public model::WeightSource {
   public:
    explicit Copy(const SliceLayout& layout) : layout_(layout) {}
    void hold(const Arena& weights) {
      weights_ = &weights;
      ++version_;
    }
    std::span<const float> weights(std::size_t parameter) override {
      const auto [first, count] = layout_.parameter(parameter);
      return weights_->part(first, count);
    }
    Version version(std::size_t /*parameter*/) override { return version_; }

   private:
    const SliceLayout& layout_;
    const Arena* weights_ = nullptr;
    Version version_ = Version{1} << 63;  // above all numbers of a WeightTable
  };

  // One local step, for what its gradients need.
  struct Step {
    const ComputeStep& clock;
    const WeightTable& table;
    InnerState& state;
    const Report& report;
    std::uint64_t number = 0, all = 1;
  };

  void take(const Step& step, const SliceGradient& gradient);
  [[nodiscard]] protocol::BatchRange batch_behind(const ComputeStep& order, std::uint64_t step,
                                                  std::uint64_t all) const;
  [[nodiscard]] Arena& copy_after(std::uint64_t step);

  const std::uint64_t batch_;
  StepRunner& steps_;
  const SliceLayout& layout_;
  const InnerOptimizer inner_;
  std::array<std::optional<Arena>, 2> copies_;  // from the first local step on
  PinnedArenas pins_;                           // of them; goes before them
  Copy copy_;
  ArenaPool deltas_;
  ArenaRef delta_;    // of the clock at hand; taken when it is written: until then a server may read the one before
  ComputeStep step_;  // the local step at hand, kept for its storage
};

}  // namespace rubato::worker
