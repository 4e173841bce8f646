#include "worker/local_runner.h"

#include <algorithm>
#include <utility>

#include "worker/local_steps.h"

namespace rubato::worker {

LocalRunner::LocalRunner(const Job& job, StepRunner& steps, const SliceLayout& layout,
                         const protocol::Manifest& manifest, const protocol::RoutingTable& routing,
                         std::shared_ptr<Memory> memory, kernels::Device* device)
    : batch_(static_cast<std::uint64_t>(job.train.batch)),
      steps_(steps),
      layout_(layout),
      inner_(job, manifest, routing),
      pins_(device),
      copy_(layout),
      deltas_(layout.floats(), std::move(memory)) {}

// Behind the last local step comes the first of what probably comes next.
protocol::BatchRange LocalRunner::batch_behind(const ComputeStep& order, std::uint64_t step, std::uint64_t all) const {
  return step + 1 < all ? local_step(order.step.batch, batch_, step + 1) : local_step(order.next, batch_, 0);
}

Result<StepComputed> LocalRunner::run(const ComputeStep& order, model::WeightSource& pulled, const WeightTable& table,
                                      WorkerState& kept, const Report& report) {
  Step step{order, table, kept.inner, report, 0, local_step_count(order.step.batch, batch_)};
  if (step.all == 0) return steps_.run(order, pulled, report);  // no samples: an empty push, as ever
  delta_.reset();
  step_ = order;
  StepComputed computed;
  computed.clock = order.step.clock;
  for (; step.number < step.all; ++step.number) {
    step_.step.batch = local_step(order.step.batch, batch_, step.number);
    step_.next = batch_behind(order, step.number, step.all);
    if (step.number > 0) copy_.hold(copy_after(step.number - 1));
    model::WeightSource& weights = step.number > 0 ? copy_ : pulled;
    const auto take_made = [this, &step](const ComputeReport& made) { take(step, std::get<SliceGradient>(made)); };
    RUBATO_ASSIGN(const StepComputed done, steps_.run(step_, weights, take_made, &kept.chains));
    computed.samples += done.samples;
    computed.correct += done.correct;
    computed.loss_sum += done.loss_sum;
  }
  delta_.reset();
  return computed;
}

Arena& LocalRunner::copy_after(std::uint64_t step) {
  std::optional<Arena>& copy = copies_[step % 2];
  if (!copy) {
    copy.emplace(layout_.floats(), pins_.place());
    pins_.pin(*copy);
  }
  return *copy;
}

// The gradient of one slice: one update of it, and, in the clock's last step, its delta. What is frozen stays as it was
// pulled, and has neither.
void LocalRunner::take(const Step& step, const SliceGradient& gradient) {
  const auto [first, count] = layout_.slice(gradient.slice);
  const std::span<const float> pulled = step.table.slice(gradient.slice);
  const std::span<const float> current =
      step.number == 0 ? pulled : std::as_const(copy_after(step.number - 1)).part(first, count);
  const std::span<float> next = copy_after(step.number).part(first, count);
  const auto samples = static_cast<std::uint32_t>(step.clock.step.batch.count);
  const auto steps = static_cast<std::uint32_t>(step.all);
  if (layout_.frozen(gradient.slice)) {
    std::ranges::copy(current, next.begin());
    if (step.number + 1 == step.all)
      step.report(SliceGradient{gradient.clock, gradient.slice, gradient.node, samples, {}, steps});
    return;
  }
  inner_.update(step.state, gradient.slice, step.clock.step.rate, gradient.gradient.floats(), gradient.samples, current,
                next);
  if (step.number + 1 < step.all) return;
  if (delta_ == nullptr) delta_ = deltas_.take();
  const std::span<float> delta = delta_->part(first, count);
  inner_.write_delta(step.state, gradient.slice, pulled, next, delta);
  step.report(SliceGradient{gradient.clock, gradient.slice, gradient.node, samples,
                            Payload(delta_, std::as_bytes(std::span<const float>(delta))), steps});
}

}  // namespace rubato::worker
