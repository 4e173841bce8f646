#include "worker/step_runner.h"

#include <cmath>
#include <utility>

#include "base/partition.h"
#include "protocol/leaf_tree.h"
#include "worker/micro_batches.h"

namespace rubato::worker {
namespace {

using protocol::LeafNode;

void add_floats(std::span<float> into, std::span<const float> from) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] += from[i];
}

Part leaf_part(const protocol::StepGrant& step, std::uint64_t leaf) {
  return leaf_of_batch({step.batch.first, step.batch.count}, step.leaves, leaf);
}

// Longer leaves come first (base/partition.h), so the first leaf of a node tells.
bool has_samples(const protocol::StepGrant& step, LeafNode node) {
  return protocol::exists(node, step.leaves) && leaf_part(step, node.first_leaf()).count > 0;
}

// How many sums of left siblings the gradient of `leaf` completes, on its way up to `top`. They are the last
// ones put aside: whoever is completed later stands higher in the tree.
std::size_t siblings_completed(const protocol::StepGrant& step, LeafNode leaf, LeafNode top) {
  std::size_t count = 0;
  for (; leaf.level < top.level; leaf = leaf.parent()) {
    if (leaf.index % 2 == 1)
      ++count;
    else if (has_samples(step, leaf.sibling()))
      break;
  }
  return count;
}

}  // namespace

// Gives the model its buffers, and, in the leaf that completes a node, sends slices on their way. The arena is taken
// when backward begins: until then the one of the step before may still be read by a shard.
class StepRunner::Sink final : public model::GradientSink {
 public:
  // Without a report it only keeps the gradient.
  Sink(StepRunner& runner, ArenaRef& gradient, const Node& node, std::size_t siblings, const Report* report)
      : runner_(runner), gradient_(gradient), node_(node), siblings_(siblings), report_(report) {}

  std::span<float> gradient_buffer(std::size_t parameter) override {
    if (gradient_ == nullptr) gradient_ = runner_.take_arena();
    const auto [first, count] = runner_.layout_.parameter(parameter);
    return gradient_->part(first, count);
  }
  void ready(std::size_t parameter) override {
    if (report_ == nullptr) return;
    runner_.add_partial(*gradient_, runner_.layout_.parameter(parameter));
    runner_.add_siblings(*gradient_, siblings_, runner_.layout_.parameter(parameter));
    for (SliceId slice : runner_.layout_.slices_of(parameter))
      if (--runner_.missing_[slice] == 0 && !runner_.layout_.frozen(slice))
        runner_.report_slice(gradient_, node_, slice, *report_);
  }

 private:
  StepRunner& runner_;
  ArenaRef& gradient_;
  const Node& node_;
  const std::size_t siblings_;
  const Report* report_;
};

// For a device that wants the inputs of the step behind the one at hand: what the loader has read ahead for that.
class StepRunner::Next final : public model::NextBatch {
 public:
  explicit Next(StepRunner& runner) : runner_(runner) {}

  const model::Batch* peek() override {
    if (!runner_.ahead_range_) runner_.ahead_range_ = runner_.loader_.take_ahead(runner_.ahead_);
    if (!runner_.ahead_range_) return nullptr;
    batch_ = model_batch(runner_.ahead_, runner_.ahead_range_->epoch);
    return &batch_;
  }

 private:
  StepRunner& runner_;
  model::Batch batch_;
};

model::Batch model_batch(const data::BatchBuffer& buffer, std::uint64_t epoch) {
  const std::vector<float>& inputs = buffer.inputs.empty() ? buffer.targets : buffer.inputs;
  return {inputs, buffer.labels, buffer.targets, buffer.sample_ids, buffer.lengths, epoch};
}

Error blaming(const data::Dataset& data, const Error& error) {
  const std::string file = data.file();
  return error.cause == Cause::kData && !file.empty() ? error.in(file) : error;
}

StepRunner::StepRunner(const Job& job, model::Model& model, data::Loader& loader, const SliceLayout& layout,
                       std::shared_ptr<Memory> memory, kernels::Device* device)
    : clip_norm_(job.optimizer.clip_norm),
      micro_max_(micro_batch_max(job)),
      model_(model),
      loader_(loader),
      reading_(loader, micro_max_),
      layout_(layout),
      arenas_(layout.floats(), std::move(memory), PinnedArenas(device).place()),
      pins_(device) {}

// A new one is pinned, and stays so as long as there is a runner.
ArenaRef StepRunner::take_arena() {
  const std::size_t before = arenas_.allocated();
  ArenaRef arena = arenas_.take();
  if (arenas_.allocated() > before) pins_.pin(*arena);
  return arena;
}

Result<StepComputed> StepRunner::run(const ComputeStep& order, model::WeightSource& weights, const Report& report,
                                     model::Chains* chains) {
  chains_ = chains;
  reading_.begin(order);
  StepComputed computed;
  computed.clock = order.step.clock;
  for (const LeafNode& node : order.step.nodes) RUBATO_TRY(run_node(order, node, weights, report, computed));
  return computed;
}

Status StepRunner::run_node(const ComputeStep& order, LeafNode top, model::WeightSource& weights, const Report& report,
                            StepComputed& computed) {
  const protocol::StepGrant& step = order.step;
  Node node{top, step.clock, 0};
  std::uint64_t last_leaf = 0;
  for (std::uint64_t leaf = top.first_leaf(); leaf < protocol::end_leaf(top, step.leaves); ++leaf) {
    const std::uint64_t samples = leaf_part(step, leaf).count;
    node.samples += samples;
    if (samples > 0) last_leaf = leaf;
  }
  if (node.samples == 0) return run_empty_node(node, weights, report);

  siblings_.clear();  // what the node before, or an error in it, has left
  for (std::uint64_t leaf = top.first_leaf(); leaf <= last_leaf; ++leaf) {
    const Part part = leaf_part(step, leaf);
    const bool completes = leaf == last_leaf;
    const bool early = completes && clip_norm_ == 0.0;
    const std::size_t siblings = siblings_completed(step, {0, static_cast<std::uint32_t>(leaf)}, top);
    ArenaRef gradient;
    RUBATO_TRY(run_leaf({node, leaf, step.batch.epoch, part, siblings}, weights, early ? &report : nullptr, gradient,
                        computed));
    if (early) {
      report_frozen(node, report);
      continue;
    }

    if (clip_norm_ > 0.0) clip(*gradient, part.count);
    add_siblings(*gradient, siblings, {0, layout_.floats()});
    siblings_.resize(siblings_.size() - siblings);
    if (completes) {
      for (SliceId slice = 0; slice < layout_.slices(); ++slice)
        if (!layout_.frozen(slice)) report_slice(gradient, node, slice, report);
      report_frozen(node, report);
    } else {
      siblings_.push_back(std::move(gradient));
    }
  }
  return {};
}

// The gradient of a leaf, micro-batch by micro-batch; of the last one slices leave `early`, if that is there.
Status StepRunner::run_leaf(const Leaf& leaf, model::WeightSource& weights, const Report* early, ArenaRef& gradient,
                            StepComputed& computed) {
  partial_.reset();  // what an error has left
  const std::uint64_t count = micro_batch_count(leaf.part.count, micro_max_);
  for (std::uint64_t micro = 0; micro < count; ++micro) {
    const Part part = micro_batch(leaf.part, micro_max_, micro);
    const bool last = micro + 1 == count;
    {
      const timeline::Scope drawn(lane_, "read");
      RUBATO_TRY(gather({leaf.epoch, part.first, part.count}));
    }
    reading_.taken();
    if (last && early != nullptr) count_pieces();
    Sink sink(*this, gradient, leaf.node, leaf.siblings, last ? early : nullptr);
    model::Batch batch = model_batch(batch_, leaf.epoch);
    batch.leaf = leaf.number * count + micro;
    batch.chains = chains_;
    Next next(*this);
    batch.next = &next;
    const Result<model::LeafStats> stats = model_.train_leaf(batch, weights, sink);
    if (!stats.ok()) return blaming(loader_.dataset(), stats.error());
    computed.loss_sum += stats->loss_sum;
    computed.samples += static_cast<std::uint64_t>(stats->samples);
    computed.correct += stats->correct;
    if (last && early != nullptr) break;
    add_partial(*gradient, {0, layout_.floats()});
    if (!last) partial_ = std::exchange(gradient, nullptr);
  }
  partial_.reset();
  return {};
}

// It may be what was taken ahead; if not, that was in vain.
Status StepRunner::gather(const data::SampleRange& range) {
  if (std::exchange(ahead_range_, std::nullopt) != range) return loader_.gather(range, batch_);
  std::swap(batch_, ahead_);
  return {};
}

// The weights are waited for all the same: leaves of a worker that dies may be added to this step, and once
// its slices are pushed the servers need keep these weights for nobody (docs/protocol.md, rule 8).
Status StepRunner::run_empty_node(const Node& node, model::WeightSource& weights, const Report& report) const {
  for (std::size_t parameter = 0; parameter < layout_.parameters(); ++parameter)
    if (weights.weights(parameter).empty())
      return Error{Cause::kInterrupted, "the weights of an empty step did not come"};
  for (SliceId slice = 0; slice < layout_.slices(); ++slice) report(SliceGradient{node.clock, slice, node.node, 0, {}});
  return {};
}

void StepRunner::count_pieces() {
  missing_.resize(layout_.slices());
  for (std::size_t slice = 0; slice < layout_.slices(); ++slice) missing_[slice] = layout_.pieces(slice);
}

void StepRunner::add_partial(Arena& gradient, SliceLayout::Range range) const {
  if (partial_ == nullptr) return;
  add_floats(gradient.part(range.first, range.count), partial_->part(range.first, range.count));
}

// Adds the last `count` sums that were put aside, the lowest in the tree first.
void StepRunner::add_siblings(Arena& gradient, std::size_t count, SliceLayout::Range range) const {
  for (std::size_t i = siblings_.size(); i > siblings_.size() - count; --i)
    add_floats(gradient.part(range.first, range.count), siblings_[i - 1]->part(range.first, range.count));
}

// Scales the gradient so that the norm of its mean over the samples is at most clip_norm (Pascanu et al.,
// "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1). As in PyTorch, what has no
// gradient does not count: neither what is frozen nor running means, which are no gradient at all.
void StepRunner::clip(Arena& gradient, std::uint64_t samples) const {
  double sum = 0.0;
  for (const auto& [first, count] : layout_.trained())
    for (float value : gradient.part(first, count)) sum += static_cast<double>(value) * value;
  const double norm = std::sqrt(sum) / static_cast<double>(samples);
  if (!(norm > clip_norm_)) return;
  const auto factor = static_cast<float>(clip_norm_ / norm);
  for (const auto& [first, count] : layout_.trained())
    for (float& value : gradient.part(first, count)) value *= factor;
}

// No gradient is needed to settle the step there. Their layers may have gone through no backward at all.
void StepRunner::report_frozen(const Node& node, const Report& report) const {
  for (SliceId slice = 0; slice < layout_.slices(); ++slice)
    if (layout_.frozen(slice))
      report(SliceGradient{node.clock, slice, node.node, static_cast<std::uint32_t>(node.samples), {}});
}

void StepRunner::report_slice(const ArenaRef& gradient, const Node& node, SliceId slice, const Report& report) const {
  const auto [first, count] = layout_.slice(slice);
  report(SliceGradient{node.clock, slice, node.node, static_cast<std::uint32_t>(node.samples),
                       Payload(gradient, std::as_bytes(gradient->part(first, count)))});
}

}  // namespace rubato::worker
