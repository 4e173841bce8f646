// What a Model promises the training loop: who is called when, that bits repeat, that leaves add up,
// that a bad batch is refused in words.
#include "model/model.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ModelContract : public ModelTest {
 protected:
  // The sum of the gradients of consecutive leaves of these sizes.
  std::vector<std::vector<float>> gradient_of(Model& model, const SmallModel& small, std::vector<std::size_t> sizes) {
    Store store(model);
    std::vector<std::vector<float>> sum;
    std::uint64_t first = 0;
    for (const std::size_t size : sizes) {
      const OwnedBatch leaf(size, small, first);
      EXPECT_TRUE(model.train_leaf(leaf.view(2), store, store).ok());
      if (sum.empty()) {
        sum = store.gradients;
      } else {
        for (std::size_t p = 0; p < sum.size(); ++p) device_->tree_add(sum[p], store.gradients[p]);
      }
      first += size;
    }
    return sum;
  }
};

TEST_F(ModelContract, WeightsAreAskedForwardAndGradientsGivenBackward) {
  ModelConfig config;
  config.hidden = {5};
  const auto model = try_make(config, {1, 1, 3}).value();
  EXPECT_THAT(model->backward_order(), ElementsAre(3, 2, 1, 0));
  Store store(*model);
  const OwnedBatch batch(2, {1, 1, 3});
  ASSERT_TRUE(model->train_leaf(batch.view(), store, store).ok());
  EXPECT_THAT(store.calls, ElementsAre("weights 0", "weights 1", "weights 2", "weights 3", "buffer 3", "buffer 2",
                                       "ready 3", "ready 2", "buffer 1", "buffer 0", "ready 1", "ready 0"));
}

TEST_F(ModelContract, EachLayerIsDrawnAndAGradientIsHandedOverWhereItIsThere) {
  ModelConfig config;
  config.hidden = {5};
  const auto model = try_make(config, {1, 1, 3}).value();
  Store store(*model);
  timeline::Lane lane("compute", {.first = 4, .count = 1});
  model->draw(&lane);
  for (Clock clock = 3; clock < 6; ++clock) {
    lane.begin_step(clock);
    ASSERT_TRUE(model->train_leaf(OwnedBatch(2, {1, 1, 3}).view(), store, store).ok());
  }
  std::vector<std::string> drawn;
  TimeNs before = 0;
  for (const timeline::Span& span : lane.spans()) {
    EXPECT_EQ(span.clock, 4);
    EXPECT_LE(before, span.begin);
    EXPECT_LE(span.begin, span.end);
    before = span.end;
    drawn.push_back(std::string(span.what) + " " + std::string(span.of.text()));
  }
  EXPECT_THAT(drawn,
              ElementsAre("load fc1", "forward fc1", "load fc2", "forward fc2", "loss ", "undo fc2", "gradient fc2",
                          "hand over fc2", "backward fc2", "undo fc1", "gradient fc1", "hand over fc1"));
}

TEST_F(ModelContract, SaysWhatMemoryItTakesToComputeOnSoMany) {
  for (const SmallModel& small : small_models()) {
    SCOPED_TRACE(small.title);
    const auto model = make(small);
    const ModelMemory few = model->memory_for(2, true).value(), many = model->memory_for(8, true).value();
    const auto inputs = static_cast<std::size_t>(small.shape.elements());
    EXPECT_GE(few.activations, 2 * inputs * sizeof(float));
    // The input is there until the end, whatever else takes turns; so in a network of several layers is what they make.
    EXPECT_GE(many.activations, 8 * inputs * sizeof(float));
    EXPECT_GT(many.activations, few.activations);
    EXPECT_LE(model->memory_for(8, false).value().activations, many.activations);
    if (small.config.name == "logistic" || small.config.name == "mlp") {
      EXPECT_EQ(few.reordered, 0u);
    }
  }
}

TEST_F(ModelContract, BitsDoNotDependOnHistory) {
  for (const SmallModel& small : small_models()) {
    SCOPED_TRACE(small.title);
    const auto fresh = make(small), used = make(small);
    const auto first = gradient_of(*fresh, small, {7});
    gradient_of(*used, small, {3, 1, 8, 2, 5});  // more sizes than plans are kept
    Store other(*used, 99);
    other.version_number = 2;
    const OwnedBatch batch(6, small, 50);
    ASSERT_TRUE(used->evaluate(batch.view(), other).ok());
    ASSERT_TRUE(used->train_leaf(OwnedBatch(7, small, 60).view(), other, other).ok());
    EXPECT_EQ(gradient_of(*used, small, {7}), first);
  }
}

// Above all with dropout: the mask of a sample does not depend on the leaf it is in. The sums differ
// only by their order: 7 samples and every layer's terms, a few hundred roundings of eps = 2^-24. Not with batch
// normalization, which makes a leaf's samples depend on each other.
TEST_F(ModelContract, LeavesAddUp) {
  for (const SmallModel& small : small_models()) {
    SCOPED_TRACE(small.title);
    const auto model = make(small);
    if (std::ranges::any_of(model->parameters(), [](const ParameterSpec& spec) { return spec.average > 0.0f; }))
      continue;
    const auto whole = gradient_of(*model, small, {7}), parts = gradient_of(*model, small, {3, 1, 3});
    for (std::size_t p = 0; p < whole.size(); ++p) {
      float greatest = 0.0f;
      for (float g : whole[p]) greatest = std::max(greatest, std::abs(g));
      for (std::size_t i = 0; i < whole[p].size(); ++i) {
        ASSERT_NEAR(whole[p][i], parts[p][i], 300 * 0x1p-24 * static_cast<double>(greatest)) << "parameter " << p;
      }
    }
  }
}

TEST_F(ModelContract, DropoutChangesWithTheEpochAndNotInEvaluation) {
  ModelConfig config;
  config.hidden = {32};
  config.dropout = 0.5;
  const InputShape shape{1, 1, 9};
  const auto model = try_make(config, shape).value();
  Store store(*model);
  const OwnedBatch batch(4, shape);
  const double first = model->train_leaf(batch.view(1), store, store).value().loss_sum;
  EXPECT_EQ(model->train_leaf(batch.view(1), store, store).value().loss_sum, first);
  EXPECT_NE(model->train_leaf(batch.view(2), store, store).value().loss_sum, first);
  const double evaluated = model->evaluate(batch.view(1), store).value().loss_sum;
  EXPECT_EQ(model->evaluate(batch.view(2), store).value().loss_sum, evaluated);
}

TEST_F(ModelContract, ANewVersionIsRead) {
  for (const SmallModel& small : small_models()) {
    SCOPED_TRACE(small.title);
    const auto model = make(small);
    Store store(*model);
    const OwnedBatch batch(4, small);
    const double before = model->train_leaf(batch.view(), store, store).value().loss_sum;
    for (float& w : store.values[0]) w = -w;
    ++store.version_number;
    EXPECT_NE(model->train_leaf(batch.view(), store, store).value().loss_sum, before);
  }
}

TEST_F(ModelContract, WeightsThatDoNotComeEndTheStep) {
  const SmallModel small = small_models().front();
  const auto model = make(small);
  Store store(*model);
  store.withheld = 1;
  const auto stats = model->train_leaf(OwnedBatch(2, small).view(), store, store);
  ASSERT_FALSE(stats.ok());
  EXPECT_EQ(stats.error().cause, Cause::kInterrupted);
  EXPECT_THAT(stats.error().message, HasSubstr("fc.bias"));
}

TEST_F(ModelContract, BadBatchesAreRefused) {
  const SmallModel small = small_models().back();  // with dropout
  const auto model = make(small);
  Store store(*model);
  const auto message = [&](const Batch& batch) {
    const auto stats = model->train_leaf(batch, store, store);
    EXPECT_FALSE(stats.ok());
    EXPECT_EQ(stats.error().cause, Cause::kData);
    return stats.error().message;
  };
  OwnedBatch batch(3, small);
  Batch view = batch.view();
  view.inputs = view.inputs.first(view.inputs.size() - 1);
  EXPECT_THAT(message(view), HasSubstr("26 input numbers for 3 samples of 9"));
  view = batch.view();
  view.sample_ids = {};
  EXPECT_THAT(message(view), HasSubstr("0 sample ids for 3"));
  EXPECT_THAT(message(OwnedBatch(33, small).view()), HasSubstr("1 to 32"));
  EXPECT_THAT(message({}), HasSubstr("0 samples"));
  batch.labels[2] = kClasses;
  EXPECT_THAT(message(batch.view()), HasSubstr("label 4 of sample 2"));
  EXPECT_TRUE(store.calls.empty());
}

}  // namespace
}  // namespace rubato::model
