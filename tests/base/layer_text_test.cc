#include "base/layer_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/job.h"

namespace rubato {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

LayerText layer(const std::string& text) {
  const auto parsed = parse_layer(text);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? *parsed : LayerText{};
}

std::string refusal(const std::string& text) {
  const auto parsed = parse_layer(text);
  if (parsed.ok()) return "(no error)";
  EXPECT_EQ(parsed.error().cause, Cause::kUsage);
  return parsed.error().message;
}

std::vector<std::string> names(const std::vector<std::string>& texts) {
  std::vector<std::string> names;
  const auto parsed = parse_network(texts);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  for (const LayerText& each : parsed.ok() ? *parsed : std::vector<LayerText>()) names.push_back(each.name);
  return names;
}

TEST(LayerText, IsAKindWithWhatBelongsToIt) {
  EXPECT_EQ(layer("dense 64 relu"), (LayerText{.kind = "dense", .number = 64, .activation = "relu"}));
  EXPECT_EQ(layer("dense 64 per_position"), (LayerText{.kind = "dense", .number = 64, .per_position = true}));
  EXPECT_EQ(
      layer(" stem:  conv 32 kernel=7 stride=2 padding=3 bias=false "),
      (LayerText{.name = "stem", .kind = "conv", .number = 32, .kernel = 7, .stride = 2, .padding = 3, .bias = false}));
  EXPECT_EQ(layer("max_pool 2"), (LayerText{.kind = "max_pool", .number = 2}));
  EXPECT_EQ(
      layer("block.1.bn: batch_norm add=block.0 relu from=block.1.conv"),
      (LayerText{
          .name = "block.1.bn", .kind = "batch_norm", .activation = "relu", .from = "block.1.conv", .add = "block.0"}));
  EXPECT_EQ(layer("add input relu"), (LayerText{.kind = "add", .activation = "relu", .add = "input"}));
  EXPECT_EQ(layer("dropout 0.25"), (LayerText{.kind = "dropout", .share = 0.25}));
  EXPECT_EQ(layer("gelu"), (LayerText{.kind = "gelu"}));
  EXPECT_EQ(layer("embedding 32 rows=128 positions"),
            (LayerText{.kind = "embedding", .number = 32, .rows = 128, .positions = true}));
  EXPECT_EQ(layer("gru 24 layers=2 last"), (LayerText{.kind = "gru", .number = 24, .layers = 2, .last = true}));
  EXPECT_EQ(layer("lstm 8 bidirectional"), (LayerText{.kind = "lstm", .number = 8, .bidirectional = true}));
  EXPECT_EQ(layer("attention heads=4"), (LayerText{.kind = "attention", .heads = 4}));
}

TEST(LayerText, WhatIsNoneIsRefusedWithWhatIs) {
  EXPECT_EQ(refusal("conv 32 kernal=3"),
            "\"conv 32 kernal=3\": conv has no \"kernal\"; did you mean \"kernel\"?; it may have kernel, stride, "
            "padding, bias, relu, tanh, sigmoid, gelu, from");
  EXPECT_EQ(refusal("cnov 32"),
            "\"cnov 32\": unknown kind \"cnov\"; did you mean \"conv\"? Its form is conv CHANNELS [kernel=N] "
            "[stride=N] [padding=N] [bias=false] [relu|tanh|sigmoid|gelu] [from=LAYER]");
  EXPECT_THAT(refusal("transformer 3"), HasSubstr("unknown kind \"transformer\"; the kinds are dense, conv, "));
  EXPECT_THAT(refusal(""), HasSubstr("a layer begins with its kind: dense, conv"));
  EXPECT_THAT(refusal("flatten"), HasSubstr("dense layers flatten what they read: leave it out"));
  EXPECT_EQ(refusal("dense"),
            "\"dense\": behind dense stands its units, found nothing; its form is dense UNITS [per_position] "
            "[relu|tanh|sigmoid|gelu] [from=LAYER]");
  EXPECT_THAT(refusal("dense relu"), HasSubstr("behind dense stands its units, found \"relu\"; its form is dense "));
  EXPECT_THAT(refusal("add"), EndsWith("its form is add LAYER [relu] [from=LAYER]"));
  EXPECT_THAT(refusal("dense 0"), HasSubstr("its units must be 1 to 16777216, found 0"));
  EXPECT_THAT(refusal("conv 8 kernel=0"), HasSubstr("kernel must be 1 to 16777216, found \"0\""));
  EXPECT_THAT(refusal("conv 8 kernel"), HasSubstr("kernel has no value: write kernel=..."));
  EXPECT_THAT(refusal("conv 8 bias=no"), HasSubstr("bias is true or false, found \"no\""));
  EXPECT_THAT(refusal("conv 8 relu tanh"), HasSubstr("two activations, relu and tanh"));
  EXPECT_THAT(refusal("conv 8 stride=2 stride=1"), HasSubstr("\"stride\" is there twice"));
  EXPECT_THAT(refusal("batch_norm tanh"), HasSubstr("batch_norm has no \"tanh\""));
  EXPECT_THAT(refusal("relu 3"), HasSubstr("relu has no \"3\""));
  for (const char* text : {"dropout", "dropout 0", "dropout 1", "dropout 0.5x", "dropout nan"})
    EXPECT_THAT(refusal(text), HasSubstr("the share that it drops, above 0 and below 1")) << text;
  for (const char* text :
       {"input: dense 3", "a b: dense 3", ": dense 3", "a-b: dense 3", ".a: dense 3", "a..b: dense 3"})
    EXPECT_NE(refusal(text), "(no error)") << text;
}

TEST(LayerText, WhatOthersCallAKindIsUnderstoodAndTheFormTold) {
  EXPECT_THAT(refusal("convolution 16"), HasSubstr("did you mean \"conv\"? Its form is conv CHANNELS [kernel=N] "));
  EXPECT_THAT(refusal("Conv2d 16"), HasSubstr("did you mean \"conv\"? "));
  EXPECT_THAT(refusal("linear 10"), HasSubstr("did you mean \"dense\"? Its form is dense UNITS "));
  EXPECT_THAT(refusal("MaxPool 2"), HasSubstr("max_pool WINDOW [stride=N] [padding=N] [relu|tanh|sigmoid|gelu] "));
  EXPECT_THAT(refusal("BatchNorm"), HasSubstr("batch_norm [add=LAYER] [relu] [from=LAYER]"));
  EXPECT_THAT(refusal("embeding 8"), HasSubstr("embedding FEATURES [rows=N] [positions] [from=LAYER]"));
  EXPECT_THAT(refusal("ReLU"), EndsWith("unknown kind \"ReLU\"; did you mean \"relu\"? Its form is relu [from=LAYER]"));
}

TEST(LayerText, EachLayerHasAName) {
  EXPECT_THAT(names({"conv 8", "relu", "conv 8", "fc: dense 3", "dense 3"}),
              ElementsAre("conv1", "relu1", "conv2", "fc", "dense2"));
}

TEST(LayerText, WhatIsReadStandsBefore) {
  std::size_t wrong = 99;
  EXPECT_EQ(names({"conv 8", "conv 8", "add conv1 from=conv2", "add input"}).size(), 4);
  const auto later = parse_network({"conv 8", "add conv3", "conv 8"}, &wrong);
  ASSERT_FALSE(later.ok());
  EXPECT_EQ(later.error().message, "\"add conv3\": no layer conv3 stands before it; did you mean \"conv1\"?");
  EXPECT_EQ(wrong, 1);
  const auto twice = parse_network({"conv2: conv 8", "conv 8"}, &wrong);
  ASSERT_FALSE(twice.ok());
  EXPECT_THAT(twice.error().message, HasSubstr("there is a layer conv2 already"));
}

constexpr const char* kJob = R"([model]
name = "layers"
network = [
  "conv 8",
  "dense 10",
]
[data]
train_inputs = "a"
train_labels = "b"
test_inputs = "c"
test_labels = "d"
)";

std::string refusal_of_job(const std::string& from, const std::string& to, const Overrides& overrides = {}) {
  std::string text = kJob;
  text.replace(text.find(from), from.size(), to);
  const auto job = parse_job(text, "job.toml", overrides);
  return job.ok() ? "(no error)" : job.error().message;
}

TEST(LayerText, AJobNamesTheLine) {
  EXPECT_EQ(refusal_of_job("conv 8", "conv 9"), "(no error)");
  EXPECT_EQ(
      refusal_of_job("dense 10", "dnse 10"),
      "job.toml:5: model.network: \"dnse 10\": unknown kind \"dnse\"; did you mean \"dense\"? Its form is dense UNITS "
      "[per_position] [relu|tanh|sigmoid|gelu] [from=LAYER]");
  EXPECT_EQ(refusal_of_job("dense 10", "dense 10 from=conv2"),
            "job.toml:5: model.network: \"dense 10 from=conv2\": no layer conv2 stands before it; did you mean "
            "\"conv1\"?");
  EXPECT_THAT(refusal_of_job("conv 8", "conv 8", {{"model.network", "[\"dense 3\", \"denes 3\"]"}}),
              StartsWith("--set: model.network: \"denes 3\": unknown kind \"denes\"; did you mean \"dense\"? "));
  EXPECT_EQ(refusal_of_job("  \"conv 8\",\n  \"dense 10\",\n", ""),
            "job.toml:3: model.network is empty: give a text for each layer, as in [\"dense 64 relu\", \"dense 10\"]");
}

TEST(LayerText, AResolvedJobIsItself) {
  const auto job = parse_job(kJob, "job.toml");
  ASSERT_TRUE(job.ok()) << job.error().message;
  EXPECT_EQ(job->model.network, (std::vector<std::string>{"conv 8", "dense 10"}));
  const auto again = parse_job(write_job(*job), "again.toml");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(*again, *job);
  auto other = *job;
  other.model.network[0] = "conv 9";
  EXPECT_NE(job_hash(other), job_hash(*job));
}

}  // namespace
}  // namespace rubato
