// A deep belief network: what each epoch trains, on what, and what is told of it.
#include "model/dbn.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>

#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

using testing::Each;
using testing::StartsWith;

constexpr std::size_t kSamples = 6;

class DbnTest : public ModelTest {
 protected:
  // Epochs 0 and 1 are the first machine's, 2 and 3 the second one's.
  static SmallModel small(bool persistent = false) {
    SmallModel model{"dbn", {}, {3, 2, 2}};
    model.config.name = "dbn";
    model.config.hidden = {9, 5};
    model.config.pretrain_epochs = 2;
    model.config.persistent = persistent;
    return model;
  }
  static OwnedBatch batch(std::uint64_t first_id = 0) {
    OwnedBatch made(kSamples, small(), first_id);
    for (float& input : made.inputs) input = (input + 1.0f) / 2.0f;
    return made;
  }
  // Larger than at first, so that something happens.
  static Store store_of(const Model& model) {
    Store store(model);
    for (auto& values : store.values)
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = 2.0f * static_cast<float>((i * 7 + 3) % 11) / 11 - 1.0f;
    return store;
  }
};

TEST_F(DbnTest, HasTheLayersOfANetworkOfSigmoidsAndVisibleBiases) {
  const auto model = make(small());
  std::vector<std::string> lines;
  for (const ParameterSpec& spec : model->parameters()) lines.push_back(spec.name);
  EXPECT_THAT(lines, testing::ElementsAre("fc1.weight", "fc1.bias", "fc1.visible_bias", "fc2.weight", "fc2.bias",
                                          "fc2.visible_bias", "fc3.weight", "fc3.bias"));
  EXPECT_EQ(model->parameters()[0].initializer, (Initializer{InitializerKind::kNormal, 0.01f}));
  EXPECT_EQ(model->parameters()[1].initializer.kind, InitializerKind::kZeros);
  EXPECT_EQ(model->parameters()[6].initializer.kind, InitializerKind::kUniform);
  SmallModel plain = small();
  plain.config.pretrain_epochs = 0;
  EXPECT_EQ(make(plain)->parameters().size(), 6);
}

TEST_F(DbnTest, AnEpochTrainsOneMachineAlone) {
  const auto model = make(small());
  const OwnedBatch samples = batch();
  for (const std::uint64_t epoch : {0, 1, 2, 3}) {
    SCOPED_TRACE(epoch);
    Store store = store_of(*model);
    const auto stats = model->train_leaf(samples.view(epoch), store, store);
    ASSERT_TRUE(stats.ok()) << stats.error().message;
    EXPECT_EQ(stats->samples, kSamples);
    EXPECT_EQ(stats->correct, 0.0);
    for (std::size_t i = 0; i < 8; ++i) {
      if (i / 3 == epoch / 2)
        EXPECT_THAT(store.gradients[i], testing::Contains(testing::Ne(0.0f))) << i;
      else
        EXPECT_THAT(store.gradients[i], Each(0.0f)) << i;
    }
    const std::vector<std::string> calls(store.calls.begin(), store.calls.begin() + 8);
    for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(calls[i], "weights " + std::to_string(i));
    std::vector<std::string> ready;
    for (const std::string& call : store.calls)
      if (call.starts_with("ready")) ready.push_back(call);
    for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(ready[i], "ready " + std::to_string(7 - i));
  }
}

TEST_F(DbnTest, AMachineSeesTheHiddenProbabilitiesOfTheOneBelow) {
  const auto model = make(small());
  Store store = store_of(*model);
  const OwnedBatch samples = batch();
  const auto stats = model->train_leaf(samples.view(2), store, store);
  ASSERT_TRUE(stats.ok());
  std::vector<float> hidden(kSamples * 9);
  const auto first = device_->plan_rbm({.visible = 12, .hidden = 9, .samples_max = kSamples}).value();
  ASSERT_TRUE(first->hidden({store.values[0], store.values[1], store.values[2]}, samples.inputs, hidden).ok());
  const auto second =
      device_->plan_rbm({.visible = 9, .hidden = 5, .samples_max = kSamples, .steps = 1, .seed = 5, .machine = 1})
          .value();
  const kernels::RbmWeights at{store.values[3], store.values[4], store.values[5]};
  EXPECT_EQ(stats->loss_sum, second->reconstruction_error(at, hidden).value());
  std::vector<float> w(45), b(5), a(9);
  ASSERT_TRUE(second->gradient(at, {2, samples.ids}, hidden, nullptr, {w, b, a}).ok());
  EXPECT_EQ(store.gradients[3], w);
  EXPECT_EQ(store.gradients[4], b);
  EXPECT_EQ(store.gradients[5], a);
}

TEST_F(DbnTest, WithLabelsItIsTheNetworkOfSigmoids) {
  const auto model = make(small());
  SmallModel mlp = small();
  mlp.config.name = "mlp";
  mlp.config.activation = "sigmoid";
  const auto plain = make(mlp);
  Store store = store_of(*model), other(*plain);
  other.values = {store.values[0], store.values[1], store.values[3], store.values[4], store.values[6], store.values[7]};
  const OwnedBatch samples = batch();
  const auto a = model->train_leaf(samples.view(4), store, store);
  const auto b = plain->train_leaf(samples.view(4), other, other);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->loss_sum, b->loss_sum);
  for (const auto& [here, there] :
       std::vector<std::pair<std::size_t, std::size_t>>{{0, 0}, {1, 1}, {3, 2}, {4, 3}, {6, 4}, {7, 5}})
    EXPECT_EQ(store.gradients[here], other.gradients[there]) << here;
  for (const std::size_t visible : {2, 5}) EXPECT_THAT(store.gradients[visible], Each(0.0f));
}

TEST_F(DbnTest, EvaluationIsAboutWhatTheEpochTrains) {
  const auto model = make(small());
  Store store = store_of(*model);
  const OwnedBatch samples = batch();
  const Evaluation trained = model->evaluate(samples.view(), store).value();
  EXPECT_EQ(trained.predictions.size(), kSamples) << "at first it is what the last epoch trains";
  const double loss = trained.loss_sum;
  for (const std::uint64_t epoch : {1, 2}) {
    model->evaluate_as_of(epoch);
    const Evaluation error = model->evaluate(samples.view(), store).value();
    EXPECT_TRUE(error.predictions.empty());
    EXPECT_EQ(error.loss_sum, model->train_leaf(samples.view(epoch), store, store)->loss_sum) << "one meaning";
  }
  model->evaluate_as_of(4);
  EXPECT_EQ(model->evaluate(samples.view(), store)->loss_sum, loss);
}

TEST_F(DbnTest, ItsUnitsSeeNumbersFrom0To1) {
  const auto model = make(small());
  Store store(*model);
  OwnedBatch samples = batch(40);
  constexpr std::size_t kWidth = 12;  // 3 x 2 x 2
  for (const float odd : {1.5f, std::nanf("")}) {
    samples.inputs[2 * kWidth + 4] = odd;
    const auto stats = model->train_leaf(samples.view(), store, store);
    ASSERT_FALSE(stats.ok());
    EXPECT_EQ(stats.error().cause, Cause::kData);
    EXPECT_THAT(stats.error().message,
                StartsWith(fmt::format("sample 42, value 4: is {} as an input, and the machines of a dbn", odd)));
  }
  EXPECT_TRUE(model->train_leaf(samples.view(4), store, store).ok()) << "a layer reads any";
}

TEST_F(DbnTest, WeightsThatDoNotComeEndTheStep) {
  const auto model = make(small());
  for (const std::size_t withheld : {0, 2, 4, 7}) {
    Store store(*model);
    store.withheld = withheld;
    EXPECT_EQ(model->train_leaf(batch().view(), store, store).error().cause, Cause::kInterrupted) << withheld;
  }
}

// Whoever computes a leaf, and whatever else it computes in between.
TEST_F(DbnTest, AChainIsItsLeafs) {
  const auto model = make(small(true)), other = make(small(true));
  Chains together, first, second;
  const auto gradients = [&](Model& by, Chains& chains, std::uint64_t leaf, std::uint64_t first_id,
                             std::uint64_t epoch) {
    Store store = store_of(by);
    const OwnedBatch samples = batch(first_id);
    Batch view = samples.view(epoch);
    view.leaf = leaf;
    view.chains = &chains;
    EXPECT_TRUE(by.train_leaf(view, store, store).ok());
    return store.gradients;
  };
  std::vector<std::vector<std::vector<float>>> one, two;
  for (const std::uint64_t id : {0, 20, 40}) {
    one.push_back(gradients(*model, together, 0, id, 0));
    one.push_back(gradients(*model, together, 1, id + 6, 0));
  }
  for (const std::uint64_t id : {0, 20, 40}) two.push_back(gradients(*other, second, 1, id + 6, 0));
  for (const std::uint64_t id : {0, 20, 40}) two.push_back(gradients(*other, first, 0, id, 0));
  EXPECT_EQ(one, (std::vector{two[3], two[0], two[4], two[1], two[5], two[2]}));
  Chains fresh;
  EXPECT_NE(one[2], gradients(*model, fresh, 0, 20, 0)) << "it goes on";
  EXPECT_EQ(together.of_leaf.size(), 2);
  gradients(*model, together, 0, 0, 2);
  EXPECT_EQ(together.of_leaf.size(), 1) << "those of the machine before are dropped";
  EXPECT_EQ(together.of_leaf[0].size(), kSamples * 9);
}

}  // namespace
}  // namespace rubato::model
