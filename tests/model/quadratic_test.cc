// The quadratic: its loss and gradient in closed form, on numbers where float32 is exact.
#include <gmock/gmock.h>

#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class QuadraticTest : public ModelTest {
 protected:
  QuadraticTest() {
    config_.name = "quadratic";
    config_.size = 3;
    model_ = try_make(config_, {1, 1, 3}).value();
  }
  ModelConfig config_;
  std::unique_ptr<Model> model_;
};

TEST_F(QuadraticTest, LossAndGradient) {
  Store store(*model_);
  store.values[0] = {1.0f, -2.0f, 0.5f};
  const std::vector<float> inputs = {1.0f, 0.0f, 0.5f, 3.0f, -2.0f, 1.0f};
  const std::vector<std::uint64_t> ids = {0, 1};
  const Batch batch{.inputs = inputs, .labels = {}, .targets = {}, .sample_ids = ids, .lengths = {}, .epoch = 0};
  const LeafStats stats = model_->train_leaf(batch, store, store).value();
  EXPECT_EQ(stats.samples, 2);
  EXPECT_DOUBLE_EQ(stats.loss_sum, 0.5 * (4.0 + 4.0 + 0.25));
  EXPECT_THAT(store.gradients[0], ElementsAre(-2.0f, -2.0f, -0.5f));
  EXPECT_THAT(store.calls, ElementsAre("weights 0", "buffer 0", "ready 0"));
  const Evaluation evaluation = model_->evaluate(batch, store).value();
  EXPECT_DOUBLE_EQ(evaluation.loss_sum, stats.loss_sum);
  EXPECT_TRUE(evaluation.predictions.empty());
}

TEST_F(QuadraticTest, RefusesOtherSizes) {
  const auto model = try_make(config_, {1, 1, 4});
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.error().message, HasSubstr("model.size = 3"));
  Store store(*model_);
  const auto stats = model_->train_leaf(OwnedBatch(2, {1, 1, 4}).view(), store, store);
  ASSERT_FALSE(stats.ok());
  EXPECT_EQ(stats.error().cause, Cause::kData);
}

}  // namespace
}  // namespace rubato::model
