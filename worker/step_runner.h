// Computes a worker's part of one step: for each of its nodes of the leaf tree, leaf by leaf, the sum of
// the gradients, handed on slice by slice as soon as backward has produced it.
//
// Leaves are summed along the tree of protocol/leaf_tree.h, always the two children of a node, so that
// the sum has the same bits whoever computed which leaves. Only the last leaf's backward can finish a
// node, so only there do slices leave early; a node of one leaf (every node, on arrival) is always early.
// Clipping by global norm needs the whole gradient of a leaf first, and turns that off.
//
// Outside bsp a leaf is all that a worker pushes, and may be computed in micro-batches (worker/micro_batches.h).
//
// Thread-safety: belongs to the compute thread.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/job.h"
#include "base/partition.h"
#include "data/loader.h"
#include "model/model.h"
#include "worker/arena.h"
#include "worker/compute_port.h"
#include "worker/pinned_arenas.h"
#include "worker/reading_list.h"
#include "worker/slice_layout.h"

namespace rubato::worker {

// A batch as the model reads it. Samples without an input are points, and the points are the input.
[[nodiscard]] model::Batch model_batch(const data::BatchBuffer& buffer, std::uint64_t epoch);

// An error of the model about a batch of these samples: where it blames the data, the file comes first.
[[nodiscard]] Error blaming(const data::Dataset& data, const Error& error);

class StepRunner {
 public:
  using Report = std::function<void(ComputeReport)>;

  // `memory` is where gradients are to lie; nothing: anywhere. `device`: that of the model, for which they are pinned;
  // null: they are not.
  StepRunner(const Job& job, model::Model& model, data::Loader& loader, const SliceLayout& layout,
             std::shared_ptr<Memory> memory, kernels::Device* device = nullptr);

  // On which timeline; null: none.
  void draw(timeline::Lane* lane) { lane_ = lane; }

  // Hands each SliceGradient to `report`, and returns the figures of the step. Errors: those of the
  // model and of the data. `chains` are the worker's; null: its model keeps none.
  [[nodiscard]] Result<StepComputed> run(const ComputeStep& order, model::WeightSource& weights, const Report& report,
                                         model::Chains* chains = nullptr);

 private:
  class Sink;
  class Next;

  struct Node {
    protocol::LeafNode node;
    Clock clock = 0;
    std::uint64_t samples = 0;  // of all its leaves
  };

  // One of a node's.
  struct Leaf {
    const Node& node;
    std::uint64_t number = 0, epoch = 0;
    Part part;
    std::size_t siblings = 0;  // whose sums it completes
  };

  [[nodiscard]] Status run_node(const ComputeStep& order, protocol::LeafNode top, model::WeightSource& weights,
                                const Report& report, StepComputed& computed);
  [[nodiscard]] Status run_leaf(const Leaf& leaf, model::WeightSource& weights, const Report* early, ArenaRef& gradient,
                                StepComputed& computed);
  [[nodiscard]] Status gather(const data::SampleRange& range);
  [[nodiscard]] Status run_empty_node(const Node& node, model::WeightSource& weights, const Report& report) const;
  void clip(Arena& gradient, std::uint64_t samples) const;
  void count_pieces();
  [[nodiscard]] ArenaRef take_arena();
  void add_partial(Arena& gradient, SliceLayout::Range range) const;
  void add_siblings(Arena& gradient, std::size_t count, SliceLayout::Range range) const;
  void report_frozen(const Node& node, const Report& report) const;
  void report_slice(const ArenaRef& gradient, const Node& node, SliceId slice, const Report& report) const;

  const double clip_norm_;
  const std::uint64_t micro_max_;
  model::Model& model_;
  data::Loader& loader_;
  ReadingList reading_;
  const SliceLayout& layout_;
  ArenaPool arenas_;
  PinnedArenas pins_;  // of them; goes before them
  // Kept for their storage from step to step.
  data::BatchBuffer batch_, ahead_;
  std::optional<data::SampleRange> ahead_range_;  // of `ahead_`, which was taken from the loader for the device
  std::vector<ArenaRef> siblings_;                // sums that wait for that of their right sibling, the lowest last
  ArenaRef partial_;                              // of the leaf at hand: the sum over the micro-batches before this one
  std::vector<std::size_t> missing_;              // of each slice, pieces that are not ready yet
  model::Chains* chains_ = nullptr;               // of the worker whose step it is
  timeline::Lane* lane_ = nullptr;
};

}  // namespace rubato::worker
