// Networks written as lists: what they are made of, and what is refused before anything starts.
#include "model/layer_list.h"

#include <gmock/gmock.h>

#include "model/architectures.h"
#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelConfig listed(std::vector<std::string> network) {
  ModelConfig config;
  config.name = "layers";
  config.network = std::move(network);
  return config;
}

class LayerList : public ModelTest {
 protected:
  std::vector<std::string> names(std::vector<std::string> network, const InputShape& shape) {
    const auto layers = build_layers(listed(std::move(network)), shape, kClasses, 1);
    EXPECT_TRUE(layers.ok()) << layers.error().message;
    std::vector<std::string> names;
    for (const Layer& layer : layers.ok() ? *layers : std::vector<Layer>()) names.push_back(layer.name);
    return names;
  }
  std::string refusal(std::vector<std::string> network, const InputShape& shape = {8, 6, 3},
                      const std::string& loss = "cross_entropy") {
    ModelConfig config = listed(std::move(network));
    config.loss = loss;
    const auto model = try_make(config, shape);
    if (model.ok()) return "(no error)";
    EXPECT_EQ(model.error().cause, Cause::kUsage);
    return model.error().message;
  }
};

// First values are by name: to the bit.
TEST_F(LayerList, ANetworkWithAKnownOnesLayersIsThatOne) {
  SmallModel known{"cnn", {}, {13, 12, 3}}, list{"layers", {}, {13, 12, 3}};
  known.config.name = "cnn";
  known.config.channels = {4, 17};
  known.config.dense = 16;
  list.config = listed({"conv1: conv 4 padding=1", "max_pool 2 relu", "conv2: conv 17 padding=1", "max_pool 2", "relu",
                        "fc1: dense 16", "relu", "fc2: dense 4"});
  const auto a = make(known), b = make(list);
  ASSERT_TRUE(std::ranges::equal(a->parameters(), b->parameters()));
  Store of_a(*a), of_b(*b);
  const OwnedBatch batch(7, known.shape);
  ASSERT_TRUE(a->train_leaf(batch.view(), of_a, of_a).ok());
  ASSERT_TRUE(b->train_leaf(batch.view(), of_b, of_b).ok());
  EXPECT_EQ(of_a.gradients, of_b.gradients);
}

TEST_F(LayerList, WhatALayerCanDoAlongWithItsWorkIsDoneThere) {
  EXPECT_THAT(names({"conv 4", "relu", "conv 4", "tanh", "dense 4"}, {8, 6, 3}),
              ElementsAre("conv1", "conv2", "dense1"));
  EXPECT_THAT(names({"conv 3 padding=1", "batch_norm", "add input", "relu", "dense 4"}, {8, 6, 3}),
              ElementsAre("conv1", "batch_norm1", "dense1"));
  // Not where somebody else reads what is before it, where there is an activation already, or another cannot be.
  EXPECT_THAT(names({"conv 3 padding=1", "relu", "add conv1", "dense 4"}, {8, 6, 3}),
              ElementsAre("conv1", "relu1", "add1", "dense1"));
  EXPECT_THAT(names({"conv 4 relu", "tanh", "dense 4"}, {8, 6, 3}), ElementsAre("conv1", "tanh1", "dense1"));
  EXPECT_THAT(names({"batch_norm", "tanh", "layer_norm", "relu", "dense 4"}, {8, 6, 3}),
              ElementsAre("batch_norm1", "tanh1", "layer_norm1", "relu1", "dense1"));
  EXPECT_THAT(names({"conv 3 padding=1", "relu from=input", "add conv1", "dense 4"}, {8, 6, 3}),
              ElementsAre("conv1", "relu1", "add1", "dense1"));
}

TEST_F(LayerList, ParametersHaveTheNamesOfTheLayers) {
  const auto model =
      make({"",
            listed({"stem: conv 4 bias=false", "block.0.bn: batch_norm relu", "gru 5 layers=2 last", "fc: dense 4"}),
            {8, 6, 3}});
  std::vector<std::string> all;
  for (const ParameterSpec& spec : model->parameters()) all.push_back(spec.name);
  EXPECT_THAT(all, ElementsAre("stem.weight", "block.0.bn.weight", "block.0.bn.bias", "block.0.bn.running_mean",
                               "block.0.bn.running_var", "gru1.weight_ih_l0", "gru1.weight_hh_l0", "gru1.bias_ih_l0",
                               "gru1.bias_hh_l0", "gru1.weight_ih_l1", "gru1.weight_hh_l1", "gru1.bias_ih_l1",
                               "gru1.bias_hh_l1", "fc.weight", "fc.bias"));
  EXPECT_THAT(model->parameters()[5].shape, ElementsAre(15, 16));  // a row of 4 pixels of 4 channels
}

TEST_F(LayerList, WindowsFitIntoImages) {
  EXPECT_EQ(refusal({"conv 4 kernel=9", "dense 4"}),
            "model.network: layer conv1, \"conv 4 kernel=9\": expected at least 9 x 9 for its kernel, found 8 x 6 x 3 "
            "(height, width, channels)");
  EXPECT_THAT(refusal({"conv 4 kernel=9 padding=1", "dense 4"}), HasSubstr("and a padding of 1"));
  EXPECT_EQ(refusal({"conv 4 kernel=8 padding=1", "dense 4"}), "(no error)");
  // Whose products no 64 bits hold.
  const std::string most = "conv 16777216 kernel=1 padding=16777216";
  EXPECT_EQ(
      refusal({most, "global_average", "dense 4"}),
      "layer conv1 would give 33554440 x 33554438 x 16777216 (height, width, channels) from 8 x 6 x 3: more numbers "
      "of a sample, or weights, than 68,719,476,736");
  EXPECT_THAT(refusal({"conv 1 kernel=1 padding=16777216", "global_average", "dense 4"}), HasSubstr("more numbers"));
  EXPECT_THAT(refusal({"dense 16777216", "dense 16777216", "dense 4"}), HasSubstr("layer dense2 would give 1 x 1"));
  EXPECT_THAT(refusal({"max_pool 16", "dense 4"}), HasSubstr("\"max_pool 16\": expected a window of at most 15 x 15"));
  EXPECT_THAT(refusal({"max_pool 4", "max_pool 4", "dense 4"}),
              HasSubstr("layer max_pool2, \"max_pool 4\": expected at least 4 x 4 for its window, found 2 x 1 x 3"));
  EXPECT_THAT(refusal({"average_pool 2 padding=2", "dense 4"}), HasSubstr("a padding below its window of 2, found 2"));
}

TEST_F(LayerList, GroupsAndHeadsDivide) {
  EXPECT_THAT(
      refusal({"conv 6", "group_norm 4", "dense 4"}),
      HasSubstr("layer group_norm1, \"group_norm 4\": expected groups that divide the channels, found 4 and 6"));
  EXPECT_THAT(refusal({"dense 24 per_position", "attention heads=3", "dense 4"}, {6, 1, 5}),
              HasSubstr("expected 3 x 3 heads, queries, keys and values, that divide the features, found 24 features"));
  EXPECT_EQ(refusal({"dense 24 per_position", "attention heads=4", "dense 4"}, {6, 1, 5}), "(no error)");
  EXPECT_THAT(refusal({"dense 24 per_position", "attention", "dense 4"}), HasSubstr("expected a sequence, of width 1"));
}

TEST_F(LayerList, SumsAreOfOneShape) {
  EXPECT_EQ(
      refusal({"conv 3", "add input", "dense 4"}),
      "model.network: layer add1, \"add input\": expected 6 x 4 x 3 (height, width, channels) from input, as from "
      "conv1, found 8 x 6 x 3 (height, width, channels)");
  EXPECT_THAT(refusal({"conv 3", "batch_norm add=input", "dense 4"}), HasSubstr("layer batch_norm1"));
  EXPECT_THAT(refusal({"conv 3", "add conv1", "dense 4"}), HasSubstr("it adds to what conv1 gives the same again"));
}

TEST_F(LayerList, TokensAreEmbeddedAsTheyCome) {
  EXPECT_THAT(refusal({"embedding 4", "dense 4"}), HasSubstr("expected tokens, one after the other, found 8 x 6 x 3"));
  EXPECT_THAT(refusal({"relu", "embedding 4", "dense 4"}, {6, 1, 1}),
              HasSubstr("expected tokens, which only the input has, found what layer relu1 gives"));
}

TEST_F(LayerList, TheLastLayerGivesWhatTheLossNeeds) {
  EXPECT_EQ(refusal({"dense 9 relu", "dense 3"}),
            "model.network: layer dense2, \"dense 3\": expected 4 numbers for model.loss = \"cross_entropy\", as it is "
            "the last, found 1 x 1 x 3 (height, width, channels)");
  EXPECT_THAT(refusal({"conv 4"}), HasSubstr("found 6 x 4 x 4"));
  EXPECT_THAT(refusal({"dense 4"}, {6, 1, 1, 6}), HasSubstr("expected 4 numbers at each of 6 positions"));
  EXPECT_EQ(refusal({"embedding 8", "dense 4 per_position"}, {6, 1, 1, 6}), "(no error)");
  EXPECT_EQ(refusal({"dense 4"}, {8, 6, 3}, "mse"), "(no error)");
  EXPECT_THAT(refusal({"dense 4"}, {8, 6, 3}, "binary_cross_entropy").substr(0, 20), "(no error)");
  ModelConfig binary = listed({"dense 2"});
  binary.loss = "binary_cross_entropy";
  const auto made = make_model(binary, {8, 6, 3}, 2, *device_, 4, 1);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("expected 1 number for model.loss = \"binary_cross_entropy\""));
}

TEST_F(LayerList, WhatNobodyReadsOrLearnsIsRefused) {
  EXPECT_EQ(refusal({"side: conv 3", "dense 4 from=input"}),
            "model.network: layer side, \"side: conv 3\": no layer reads what it gives: read it with from=side or add "
            "it, or leave it out");
  EXPECT_THAT(refusal({"relu"}, {1, 1, 4}), HasSubstr("there is nothing to learn"));
}

}  // namespace
}  // namespace rubato::model
