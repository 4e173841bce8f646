// A warm training step allocates nothing: not the runner, not the model, not the device's plans.
#include "tests/worker/allocation_counter.h"
#include "tests/worker/step_fixture.h"

namespace rubato::worker {
namespace {

using test::AllocationCounter;

TEST(Allocations, AreSeen) {
  const AllocationCounter counter;
  const std::vector<int> numbers(7);
  EXPECT_EQ(numbers.size(), 7u);
  EXPECT_EQ(counter.count().ours, 1);
}

// Steps over the same shapes: a worker's leaf of an on-arrival job, and its four leaves of a bsp job, whose
// reports are let go at once, as an acknowledged push is.
void expect_no_allocations(const ModelConfig& config, const data::SampleShape& shape, double clip_norm,
                           timeline::Lane* lane = nullptr, bool lengths = false) {
  const auto device = kernels::open_device({"cpu", 1}).value();
  const auto model = model::make_model(config, {shape.height, shape.width, shape.channels}, 4, *device, 16, 1).value();
  Job job;
  job.optimizer.clip_norm = clip_norm;
  Runner fixture(*model, {.samples = 256, .shape = shape, .slice_bytes = 4096, .job = job, .lengths = lengths});
  model->draw(lane);
  fixture.runner.draw(lane);
  VectorWeights& weights = fixture.weights;
  weights.asked.reserve(10'000);
  std::uint64_t slices = 0;
  const StepRunner::Report report = [&](const ComputeReport& computed) {
    slices += std::holds_alternative<SliceGradient>(computed);
  };
  for (const std::uint32_t leaves : {1, 4}) {
    std::vector<ComputeStep> orders;
    for (std::uint64_t first = 0; first < 256; first += 16)
      orders.push_back({step_of(first, 16, leaves, protocol::nodes_of_worker(0, 1, leaves)), {}, false});
    for (std::size_t i = 0; i < 4; ++i) ASSERT_TRUE(fixture.runner.run(orders[i], weights, report).ok());
    slices = 0;
    test::Allocations allocations;
    {
      const AllocationCounter counter;
      for (std::size_t i = 4; i < orders.size(); ++i) ASSERT_TRUE(fixture.runner.run(orders[i], weights, report).ok());
      allocations = counter.count();
    }
    EXPECT_EQ(slices, 12 * fixture.layout.slices());
    EXPECT_EQ(allocations.ours, 0) << "in 12 steps of " << leaves << " leaves";
    fmt::print("oneDNN's own, in a step of {} leaves: {}\n", leaves, allocations.of_libraries / 12);
  }
}

ModelConfig mlp() {
  ModelConfig config;
  config.hidden = {32, 24};
  return config;
}

ModelConfig cnn() {
  ModelConfig config;
  config.name = "cnn";
  config.channels = {8, 16};
  config.dense = 32;
  return config;
}

TEST(Allocations, NoneInAWarmStepOfAnMlp) { expect_no_allocations(mlp(), {1, 1, 50}, 0.0); }
TEST(Allocations, NoneInAWarmStepOfACnn) { expect_no_allocations(cnn(), {12, 12, 1}, 0.0); }
TEST(Allocations, NoneWhereGradientsAreClipped) { expect_no_allocations(mlp(), {1, 1, 50}, 0.1); }

TEST(Allocations, NoneInAWarmStepOfAResNet) {
  ModelConfig config;
  config.name = "resnet18";
  config.width = 8;
  expect_no_allocations(config, {16, 16, 3}, 0.0);
}

TEST(Allocations, NoneInAWarmStepOfAnLstm) {
  ModelConfig config;
  config.name = "lstm";
  config.width = 16;
  config.layers = 2;
  expect_no_allocations(config, {12, 1, 5}, 0.0);
}

TEST(Allocations, NoneOnATimeline) {
  timeline::Lane lane("compute", {.first = 0, .count = 100});
  lane.begin_step(0);
  expect_no_allocations(mlp(), {1, 1, 50}, 0.0, &lane);
  EXPECT_GT(lane.spans().size(), 0u);
}

TEST(Allocations, NoneWithSequencesOfDifferentLengths) {
  ModelConfig config;
  config.name = "gru";
  config.width = 12;
  config.layers = 2;
  config.bidirectional = true;
  expect_no_allocations(config, {9, 1, 5}, 0.0, nullptr, true);
}

TEST(Allocations, NoneWithDropout) {
  ModelConfig config = cnn();
  config.dropout = 0.25;
  expect_no_allocations(config, {12, 12, 1}, 0.0);
}

}  // namespace
}  // namespace rubato::worker
