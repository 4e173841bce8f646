// One step of a worker against the plainest way to say the same: a recursion over the tree of leaves.
#include "worker/step_runner.h"

#include <cmath>
#include <optional>
#include <set>

#include "protocol/leaf_tree.h"
#include "tests/worker/step_fixture.h"

namespace rubato::worker {
namespace {

using protocol::LeafNode;
using protocol::StepGrant;
using testing::ElementsAreArray;
using testing::IsEmpty;

std::uint64_t samples_of_leaf(const StepGrant& step, std::uint64_t leaf) {
  return leaf_of_batch({step.batch.first, step.batch.count}, step.leaves, leaf).count;
}

using ChangeLeaf = std::function<void(Gradient&, std::uint64_t samples)>;

// The sum of a node as protocol/leaf_tree.h defines it; nothing where it has no samples.
std::optional<Gradient> sum_of(Runner& runner, const StepGrant& step, LeafNode node, const ChangeLeaf& change_leaf) {
  if (!protocol::exists(node, step.leaves)) return std::nullopt;
  if (node.level == 0) {
    const std::uint64_t samples = samples_of_leaf(step, node.index);
    if (samples == 0) return std::nullopt;
    Gradient gradient = runner.leaf_gradient(step, node.index);
    if (change_leaf) change_leaf(gradient, samples);
    return gradient;
  }
  const LeafNode left{static_cast<std::uint8_t>(node.level - 1), node.index * 2};
  std::optional<Gradient> sum = sum_of(runner, step, left, change_leaf);
  std::optional<Gradient> other = sum_of(runner, step, left.sibling(), change_leaf);
  if (!sum || !other) return sum ? std::move(sum) : std::move(other);
  for (std::size_t p = 0; p < sum->size(); ++p)
    for (std::size_t i = 0; i < (*sum)[p].size(); ++i) (*sum)[p][i] += (*other)[p][i];
  return sum;
}

// Each slice of each node once, in backward order, node by node, with the bits of the recursion.
void expect_reports(Runner& runner, const StepGrant& step, const ChangeLeaf& change_leaf = nullptr) {
  const std::size_t slices = runner.layout.slices();
  ASSERT_EQ(runner.reports.size(), slices * step.nodes.size());
  for (std::size_t at = 0; at < runner.reports.size(); ++at) {
    const SliceGradient& report = runner.reports[at];
    const LeafNode node = step.nodes[at / slices];
    ASSERT_EQ(report.slice, at % slices);
    ASSERT_EQ(report.node, node);
    EXPECT_EQ(report.clock, step.clock);
  }
  for (std::size_t n = 0; n < step.nodes.size(); ++n) {
    std::uint64_t samples = 0;
    for (std::uint64_t leaf = step.nodes[n].first_leaf(); leaf < end_leaf(step.nodes[n], step.leaves); ++leaf)
      samples += samples_of_leaf(step, leaf);
    const std::optional<Gradient> sum = sum_of(runner, step, step.nodes[n], change_leaf);
    for (SliceId slice = 0; slice < slices; ++slice) {
      const SliceGradient& report = runner.reports[n * slices + slice];
      EXPECT_EQ(report.samples, samples);
      ASSERT_EQ(report.gradient.empty(), !sum.has_value());
      if (!sum) continue;
      ASSERT_EQ(bits_of(report.gradient.floats()), bits_of(runner.slice_of(*sum, slice)))
          << "slice " << slice << " of node (" << int{step.nodes[n].level} << ", " << step.nodes[n].index << ")";
    }
  }
}

// Batches of fewer samples than leaves, as many, and more, even and ragged.
std::vector<std::uint64_t> batches_for(std::uint64_t leaves) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t count = 0; count <= leaves; ++count) sizes.push_back(count);
  sizes.insert(sizes.end(), {leaves + 1, 2 * leaves - 1, 2 * leaves, 2 * leaves + 3});
  return sizes;
}

// Runs the part of each of 1 to M workers of every batch of 1 to `leaves_max` leaves.
void expect_every_decomposition(Runner& runner, std::uint32_t leaves_max) {
  for (std::uint32_t leaves = 1; leaves <= leaves_max; ++leaves)
    for (const std::uint64_t count : batches_for(leaves))
      for (std::uint32_t workers = 1; workers <= leaves; ++workers)
        for (std::uint32_t worker = 0; worker < workers; ++worker) {
          SCOPED_TRACE(fmt::format("{} leaves, {} samples, worker {} of {}", leaves, count, worker, workers));
          const StepGrant step = step_of(5, count, leaves, protocol::nodes_of_worker(worker, workers, leaves), 3);
          const Result<StepComputed> computed = runner.run(step);
          ASSERT_TRUE(computed.ok()) << computed.error().message;
          EXPECT_EQ(computed->clock, 3);
          expect_reports(runner, step);
          if (testing::Test::HasFatalFailure()) return;
        }
}

TEST(StepRunner, NodeSumsHaveTheBitsOfTheTree) {
  ArbitraryModel model({7, 50, 3, 18});
  Runner runner(model);
  expect_every_decomposition(runner, 9);
}

TEST(StepRunner, NodeSumsHaveTheBitsOfTheTreeForTheQuadratic) {
  const auto device = kernels::open_device({"cpu", 1}).value();
  ModelConfig config;
  config.name = "quadratic";
  config.size = 40;
  const auto model = model::make_model(config, {1, 1, 40}, 0, *device, 8, 1).value();
  Runner runner(*model, {.shape = {1, 1, 40}});
  expect_every_decomposition(runner, 9);
}

TEST(StepRunner, NodeSumsHaveTheBitsOfTheTreeForAnMlp) {
  const auto device = kernels::open_device({"cpu", 1}).value();
  ModelConfig config;
  config.hidden = {11};
  config.dropout = 0.3;  // per sample, so that no leaf's depends on another's
  const auto model = model::make_model(config, {1, 1, 13}, 4, *device, 8, 1).value();
  Runner runner(*model, {.shape = {1, 1, 13}});
  expect_every_decomposition(runner, 6);
}

TEST(StepRunner, NodeSumsHaveTheBitsOfTheTreeForSequencesOfDifferentLengths) {
  const auto device = kernels::open_device({"cpu", 1}).value();
  ModelConfig config;
  config.name = "lstm";
  config.width = 5;
  config.bidirectional = true;
  const auto model = model::make_model(config, {4, 1, 3, 1, true}, 4, *device, 8, 1).value();
  Runner runner(*model, {.shape = {4, 1, 3}, .lengths = true});
  expect_every_decomposition(runner, 6);
}

TEST(StepRunner, FiguresAreThoseOfAllLeaves) {
  ArbitraryModel model({4});
  Runner runner(model);
  const StepComputed computed = runner.run(step_of(0, 10, 4, protocol::nodes_of_range(1, 4, 4), 8)).value();
  EXPECT_EQ(computed.clock, 8);
  EXPECT_EQ(computed.samples, 7u);  // leaves of 3, 3, 2, 2 samples, without the first
  EXPECT_EQ(computed.correct, 3.0);
  EXPECT_EQ(computed.loss_sum, 3.5);
}

// Slices leave when backward has produced their last piece, in the leaf that completes the node.
TEST(StepRunner, SlicesLeaveAsEarlyAsTheyCan) {
  ArbitraryModel model({7, 50, 3, 18});
  Runner runner(model);
  const StepGrant step = step_of(0, 8, 4, {{1, 0}, {0, 2}});
  int leaf = -1;
  model.on_leaf = [&] { ++leaf; };
  model.on_ready = [&](std::size_t parameter) {
    const std::size_t slices = runner.layout.slices();
    std::size_t expected = leaf == 2 ? slices : 0;  // leaves 0 and 1 are the first node, leaf 2 the second
    if (leaf > 0)
      for (SliceId slice = 0; slice < slices; ++slice) {
        const auto& pieces = runner.routing.slices[slice].pieces;
        expected += std::ranges::all_of(pieces, [&](const auto& piece) { return piece.parameter >= parameter; });
      }
    EXPECT_EQ(runner.reports.size(), expected) << "leaf " << leaf << ", parameter " << parameter;
  };
  ASSERT_TRUE(runner.run(step).ok());
  EXPECT_EQ(leaf, 2);
}

// ---- clipping ---------------------------------------------------------------------------------------

// `untouched` are the parameters that do not count, and are not clipped.
ChangeLeaf clipped_to(double limit, std::set<std::size_t> untouched = {}) {
  return [limit, untouched](Gradient& gradient, std::uint64_t samples) {
    double sum = 0.0;
    for (std::size_t p = 0; p < gradient.size(); ++p)
      for (const float value : gradient[p])
        if (!untouched.contains(p)) sum += static_cast<double>(value) * value;
    const double norm = std::sqrt(sum) / static_cast<double>(samples);
    if (norm <= limit) return;
    const auto factor = static_cast<float>(limit / norm);
    for (std::size_t p = 0; p < gradient.size(); ++p)
      for (float& value : gradient[p])
        if (!untouched.contains(p)) value *= factor;
  };
}

TEST(StepRunner, ClipsTheMeanGradientOfEachLeaf) {
  for (const double limit : {1e-3, 1e4, 1e30}) {  // each leaf, some leaves, none
    ArbitraryModel model({7, 50, 3, 18});
    RunnerOptions options;
    options.job.optimizer.clip_norm = limit;
    Runner runner(model, options);
    for (std::uint32_t leaves = 1; leaves <= 5; ++leaves)
      for (const std::uint64_t count : batches_for(leaves)) {
        const StepGrant step = step_of(0, count, leaves, protocol::nodes_of_worker(0, 1, leaves));
        ASSERT_TRUE(runner.run(step).ok());
        expect_reports(runner, step, clipped_to(limit));
      }
  }
}

TEST(StepRunner, AClippedLeafHasTheNormOfTheLimit) {
  ArbitraryModel model({7, 50});
  RunnerOptions options;
  options.job.optimizer.clip_norm = 0.25;
  Runner runner(model, options);
  ASSERT_TRUE(runner.run(step_of(0, 5, 1, {{0, 0}})).ok());
  double sum = 0.0;
  for (const SliceGradient& report : runner.reports)
    for (const float value : report.gradient.floats()) sum += static_cast<double>(value) * value;
  EXPECT_NEAR(std::sqrt(sum) / 5.0, 0.25, 1e-7);
}

TEST(StepRunner, ClippingWaitsForTheWholeGradient) {
  ArbitraryModel model({7, 50});
  RunnerOptions options;
  options.job.optimizer.clip_norm = 1.0;
  Runner runner(model, options);
  model.on_ready = [&](std::size_t) { EXPECT_THAT(runner.reports, IsEmpty()); };
  ASSERT_TRUE(runner.run(step_of(0, 4, 2, {{1, 0}})).ok());
  EXPECT_EQ(runner.reports.size(), runner.layout.slices());
}

TEST(StepRunner, WhatIsPushedForRunningMeansIsNotClipped) {
  ArbitraryModel model({7, 50, 3, 18});
  model.spec(1).average = 0.1f;
  RunnerOptions options;
  options.job.optimizer.clip_norm = 1e-3;
  Runner runner(model, options);
  const StepGrant step = step_of(0, 7, 3, protocol::nodes_of_worker(0, 1, 3));
  ASSERT_TRUE(runner.run(step).ok());
  expect_reports(runner, step, clipped_to(1e-3, {1}));
}

// ---- frozen parameters --------------------------------------------------------------------------------

// Settled without a gradient, whatever comes of backward there; the others as ever, and clipped as if there were no
// others.
TEST(StepRunner, FrozenSlicesAreReportedWithoutAGradient) {
  for (const double limit : {0.0, 1e-3}) {
    ArbitraryModel model({7, 50, 3, 18});
    model.spec(1).frozen = model.spec(2).frozen = true;
    RunnerOptions options;
    options.job.optimizer.clip_norm = limit;
    Runner runner(model, options);
    const StepGrant step = step_of(0, 7, 4, protocol::nodes_of_worker(0, 1, 4));
    ASSERT_EQ(step.nodes.size(), 1u);
    ASSERT_TRUE(runner.run(step).ok());
    ASSERT_EQ(runner.reports.size(), runner.layout.slices());
    const Gradient sum =
        sum_of(runner, step, step.nodes[0], limit > 0.0 ? clipped_to(limit, {1, 2}) : ChangeLeaf()).value();
    std::set<SliceId> seen;
    for (const SliceGradient& report : runner.reports) {
      EXPECT_TRUE(seen.insert(report.slice).second);
      EXPECT_EQ(report.samples, 7u);
      const std::size_t parameter = runner.routing.slices[report.slice].pieces.front().parameter;
      EXPECT_EQ(runner.layout.frozen(report.slice), parameter == 1 || parameter == 2);
      if (runner.layout.frozen(report.slice))
        EXPECT_TRUE(report.gradient.empty());
      else
        EXPECT_EQ(bits_of(report.gradient.floats()), bits_of(runner.slice_of(sum, report.slice)));
    }
  }
}

// ---- nodes without samples, faults, errors ----------------------------------------------------------

TEST(StepRunner, AnEmptyNodeReportsEverySliceWithoutAPayload) {
  ArbitraryModel model({7, 50, 3});
  Runner runner(model);
  const StepGrant step = step_of(0, 2, 4, {{0, 3}});  // leaves of 1, 1, 0, 0 samples
  const StepComputed computed = runner.run(step).value();
  EXPECT_EQ(computed.samples, 0u);
  expect_reports(runner, step);
}

// Leaves of a worker that dies may be added to it: they are computed on the weights of this step.
TEST(StepRunner, AnEmptyNodeIsReportedOnlyWhenTheWeightsAreThere) {
  ArbitraryModel model({7, 50, 3});
  Runner runner(model);
  const StepGrant step = step_of(0, 2, 4, {{0, 3}});
  ASSERT_TRUE(runner.run(step).ok());
  EXPECT_THAT(runner.weights.asked, ElementsAreArray({0, 1, 2}));

  runner.weights.withheld = 1;
  const Result<StepComputed> computed = runner.run(step);
  ASSERT_FALSE(computed.ok());
  EXPECT_EQ(computed.error().cause, Cause::kInterrupted);
  EXPECT_THAT(runner.reports, IsEmpty());
}

TEST(StepRunner, WhatAModelBlamesOnItsDataHasTheFile) {
  ArbitraryModel model({7, 50});
  Runner runner(model);
  const StepGrant step = step_of(0, 8, 4, {{2, 0}});
  model.trouble = Error{Cause::kData, "sample 3, value 4: is odd"};
  EXPECT_EQ(runner.run(step).error().message, "numbers.npy: sample 3, value 4: is odd");
  model.trouble = Error{Cause::kDevice, "no memory"};
  EXPECT_EQ(runner.run(step).error().message, "no memory");
}

TEST(StepRunner, AGradientThatSomebodyHasIsNotWrittenAgain) {
  ArbitraryModel model({7, 50});
  Runner runner(model);
  const StepGrant step = step_of(0, 8, 4, {{2, 0}});
  ASSERT_TRUE(runner.run(step).ok());
  const std::vector<SliceGradient> kept = runner.reports;
  std::vector<std::vector<std::uint32_t>> bits;
  bits.reserve(kept.size());
  for (const SliceGradient& report : kept) bits.push_back(bits_of(report.gradient.floats()));
  for (std::uint64_t first = 8; first < 40; first += 8) ASSERT_TRUE(runner.run(step_of(first, 8, 4, {{2, 0}})).ok());
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(bits_of(kept[i].gradient.floats()), bits[i]);
}

// What a shard still reads while the next step's forward runs costs no second arena.
TEST(StepRunner, AGradientThatIsReadUntilBackwardBeginsIsWrittenAgain) {
  ArbitraryModel model({5});
  Runner runner(model);
  ASSERT_TRUE(runner.run(step_of(0, 8, 1, {{0, 0}})).ok());
  std::vector<SliceGradient> held = runner.reports;
  const float* const place = held.front().gradient.floats().data();
  model.on_leaf = [&] { held.clear(); };
  ASSERT_TRUE(runner.run(step_of(8, 8, 1, {{0, 0}}, 1)).ok());
  EXPECT_EQ(runner.reports.front().gradient.floats().data(), place);
}

TEST(StepRunner, GoesOnAfterAStepThatFailed) {
  ArbitraryModel model({7, 50});
  Runner runner(model);
  const StepGrant step = step_of(0, 8, 4, {{2, 0}});
  int leaves = 0;
  model.on_leaf = [&] { runner.weights.withheld = ++leaves == 2 ? 0 : -1; };  // the third leaf gets none
  EXPECT_EQ(runner.run(step).error().cause, Cause::kInterrupted);
  model.on_leaf = [] {};
  runner.weights.withheld = static_cast<std::size_t>(-1);

  const Result<StepComputed> outside = runner.run(step_of(60, 8, 1, {{0, 0}}));  // of 64 samples
  ASSERT_FALSE(outside.ok());
  EXPECT_EQ(outside.error().cause, Cause::kMalformed);

  ASSERT_TRUE(runner.run(step).ok());
  expect_reports(runner, step);
}

}  // namespace
}  // namespace rubato::worker
