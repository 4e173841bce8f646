#include "worker/step_runner.h"

#include <cmath>
#include <limits>

#include "base/partition.h"
#include "protocol/leaf_tree.h"

namespace rubato::worker {
namespace {

using protocol::LeafNode;

// The sums that wait for their right sibling, by level.
using Waiting = std::map<std::uint8_t, ArenaRef>;

void add_floats(std::span<float> into, std::span<const float> from) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] += from[i];
}

// Whether any leaf of a node has samples.
bool has_samples(LeafNode node, std::uint32_t leaves, const protocol::BatchRange& batch) {
  if (!protocol::exists(node, leaves)) return false;
  // Longer leaves come first (base/partition.h), so the first leaf tells.
  return leaf_of_batch({batch.first, batch.count}, leaves, node.first_leaf()).count > 0;
}

// Where the sum that is complete at `leaf` goes: the waiting left siblings to add, on the way up, and the
// level at which it waits for a right sibling, or `top` where it is complete.
struct WayUp {
  std::vector<std::uint8_t> add;  // levels
  std::uint8_t stops = 0;
};
WayUp way_up(LeafNode leaf, std::uint8_t top, std::uint32_t leaves, const protocol::BatchRange& batch,
             const Waiting& waiting) {
  WayUp way;
  while (leaf.level < top) {
    if (leaf.index % 2 == 1) {
      if (waiting.count(leaf.level) != 0) way.add.push_back(leaf.level);
    } else if (has_samples(leaf.sibling(), leaves, batch)) {
      break;
    }
    leaf = leaf.parent();
  }
  way.stops = leaf.level;
  return way;
}

}  // namespace

// Gives the model its buffers, and, in the leaf that completes a node, sends slices on their way.
class StepRunner::Sink final : public model::GradientSink {
 public:
  Sink(const StepRunner& runner, ArenaRef arena, const Node& node, const WayUp& way, const Waiting& waiting,
       const Report* report)
      : runner_(runner), arena_(std::move(arena)), node_(node), way_(way), waiting_(waiting), report_(report) {
    for (std::size_t slice = 0; slice < runner.layout_.slices(); ++slice)
      missing_.push_back(runner.layout_.pieces(slice));
  }

  std::span<float> gradient_buffer(std::size_t parameter) override {
    const auto [first, count] = runner_.layout_.parameter(parameter);
    return arena_->part(first, count);
  }
  void ready(std::size_t parameter) override {
    if (report_ == nullptr) return;
    const auto [first, count] = runner_.layout_.parameter(parameter);
    for (std::uint8_t level : way_.add)
      add_floats(arena_->part(first, count), std::as_const(*waiting_.at(level)).part(first, count));
    for (SliceId slice : runner_.layout_.slices_of(parameter))
      if (--missing_[slice] == 0) runner_.report_slice(arena_, node_, slice, *report_);
  }

 private:
  const StepRunner& runner_;
  ArenaRef arena_;
  const Node& node_;
  const WayUp& way_;
  const Waiting& waiting_;
  const Report* report_;
  std::vector<std::size_t> missing_;  // pieces of each slice
};

model::Batch model_batch(const data::BatchBuffer& buffer, std::uint64_t epoch) {
  const std::vector<float>& inputs = buffer.inputs.empty() ? buffer.targets : buffer.inputs;
  return {inputs, buffer.labels, buffer.targets, buffer.sample_ids, epoch};
}

StepRunner::StepRunner(const Job& job, std::uint32_t rank, model::Model& model, data::Loader& loader,
                       const SliceLayout& layout)
    : rank_(rank),
      clip_norm_(job.optimizer.clip_norm),
      nonfinite_at_(job.debug.nonfinite_at),
      model_(model),
      loader_(loader),
      layout_(layout),
      arenas_(layout.floats()) {}

Result<StepComputed> StepRunner::run(const ComputeStep& order, model::WeightSource& weights, const Report& report) {
  StepComputed computed;
  computed.clock = order.step.clock;
  for (const LeafNode& node : order.step.nodes) RUBATO_TRY(run_node(order, node, weights, report, computed));
  return computed;
}

Status StepRunner::run_node(const ComputeStep& order, LeafNode top, model::WeightSource& weights, const Report& report,
                            StepComputed& computed) {
  const protocol::StepGrant& step = order.step;
  const auto leaf_part = [&](std::uint64_t leaf) {
    return leaf_of_batch({step.batch.first, step.batch.count}, step.leaves, leaf);
  };
  Node node{top, step.clock, 0};
  std::uint64_t last_leaf = 0;
  for (std::uint64_t leaf = top.first_leaf(); leaf < protocol::end_leaf(top, step.leaves); ++leaf) {
    node.samples += leaf_part(leaf).count;
    if (leaf_part(leaf).count > 0) last_leaf = leaf;
  }
  if (node.samples == 0) {
    for (std::size_t slice = 0; slice < layout_.slices(); ++slice)
      report(SliceGradient{step.clock, static_cast<SliceId>(slice), top, 0, {}});
    return {};
  }

  Waiting waiting;
  for (std::uint64_t leaf = top.first_leaf(); leaf <= last_leaf; ++leaf) {
    const Part part = leaf_part(leaf);
    if (part.count == 0) continue;
    const bool completes = leaf == last_leaf;
    const bool early = completes && clip_norm_ == 0.0;
    const WayUp way = way_up({0, static_cast<std::uint32_t>(leaf)}, top.level, step.leaves, step.batch, waiting);
    RUBATO_TRY(loader_.gather({step.batch.epoch, part.first, part.count}, batch_));
    const model::Batch batch = model_batch(batch_, step.batch.epoch);

    ArenaRef gradient = arenas_.take();
    Sink sink(*this, gradient, node, way, waiting, early ? &report : nullptr);
    RUBATO_ASSIGN(const model::LeafStats stats, model_.train_leaf(batch, weights, sink));
    computed.loss_sum += stats.loss_sum;
    computed.samples += static_cast<std::uint64_t>(stats.samples);
    computed.correct += static_cast<std::uint64_t>(stats.correct);
    if (early) continue;

    if (clip_norm_ > 0.0) clip(*gradient, part.count);
    for (std::uint8_t level : way.add) {
      add(*gradient, *waiting.at(level));
      waiting.erase(level);
    }
    if (completes) {
      for (std::size_t slice = 0; slice < layout_.slices(); ++slice)
        report_slice(gradient, node, static_cast<SliceId>(slice), report);
    } else {
      waiting[way.stops] = std::move(gradient);
    }
  }
  return {};
}

void StepRunner::add(Arena& into, const Arena& from) const {
  add_floats(into.part(0, layout_.floats()), from.part(0, layout_.floats()));
}

// Scales the gradient so that the norm of its mean over the samples is at most clip_norm (Pascanu et al.,
// "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1).
void StepRunner::clip(Arena& gradient, std::uint64_t samples) const {
  double sum = 0.0;
  for (std::size_t p = 0; p < layout_.parameters(); ++p) {
    const auto [first, count] = layout_.parameter(p);
    for (float value : gradient.part(first, count)) sum += static_cast<double>(value) * value;
  }
  const double norm = std::sqrt(sum) / static_cast<double>(samples);
  if (!(norm > clip_norm_)) return;
  const auto factor = static_cast<float>(clip_norm_ / norm);
  for (float& value : gradient.part(0, layout_.floats())) value *= factor;
}

void StepRunner::report_slice(const ArenaRef& gradient, const Node& node, SliceId slice, const Report& report) const {
  const auto [first, count] = layout_.slice(slice);
  const std::span<float> values = gradient->part(first, count);
  if (rank_ == 0 && slice == 0 && node.clock == nonfinite_at_) values[0] = std::numeric_limits<float>::quiet_NaN();
  report(SliceGradient{node.clock, slice, node.node, static_cast<std::uint32_t>(node.samples),
                       Payload(gradient, std::as_bytes(values))});
}

}  // namespace rubato::worker
