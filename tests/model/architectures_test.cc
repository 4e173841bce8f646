// Which parameters each network has, under which names, and which configurations make no network.
#include "model/architectures.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Architectures : public ModelTest {
 protected:
  std::vector<ParameterSpec> parameters(const ModelConfig& config, const InputShape& shape, std::int64_t classes = 10) {
    const auto model = make_model(config, shape, classes, *device_, 1, 1).value();
    return {model->parameters().begin(), model->parameters().end()};
  }
  std::string refusal(const ModelConfig& config, const InputShape& shape) {
    const auto model = try_make(config, shape);
    EXPECT_FALSE(model.ok());
    EXPECT_EQ(model.error().cause, Cause::kUsage);
    return model.error().message;
  }
  static std::vector<std::string> shapes(const std::vector<ParameterSpec>& specs) {
    std::vector<std::string> lines;
    for (const ParameterSpec& spec : specs) {
      std::string line = spec.name;
      for (std::int64_t extent : spec.shape) line += fmt::format(" {}", extent);
      lines.push_back(line);
    }
    return lines;
  }
  static std::int64_t total(const std::vector<ParameterSpec>& specs) {
    std::int64_t sum = 0;
    for (const ParameterSpec& spec : specs) sum += spec.elements();
    return sum;
  }
};

TEST_F(Architectures, Cnn) {
  ModelConfig config;
  config.name = "cnn";
  config.channels = {32, 64};
  const auto specs = parameters(config, {28, 28, 1});
  EXPECT_THAT(shapes(specs),
              ElementsAre("conv1.weight 32 3 3 1", "conv1.bias 32", "conv2.weight 64 3 3 32", "conv2.bias 64",
                          "fc1.weight 128 3136", "fc1.bias 128", "fc2.weight 10 128", "fc2.bias 10"));
  EXPECT_EQ(total(specs), 421'642);
}

TEST_F(Architectures, Lenet5) {
  ModelConfig config;
  config.name = "lenet5";
  const auto specs = parameters(config, {28, 28, 1});
  EXPECT_THAT(shapes(specs), ElementsAre("conv1.weight 6 5 5 1", "conv1.bias 6", "conv2.weight 16 5 5 6",
                                         "conv2.bias 16", "fc1.weight 120 400", "fc1.bias 120", "fc2.weight 84 120",
                                         "fc2.bias 84", "fc3.weight 10 84", "fc3.bias 10"));
  EXPECT_EQ(total(specs), 61'706);
}

TEST_F(Architectures, MlpAndLogistic) {
  ModelConfig config;
  config.hidden = {1024, 1024};
  EXPECT_THAT(shapes(parameters(config, {28, 28, 1})),
              ElementsAre("fc1.weight 1024 784", "fc1.bias 1024", "fc2.weight 1024 1024", "fc2.bias 1024",
                          "fc3.weight 10 1024", "fc3.bias 10"));
  config.name = "logistic";
  EXPECT_THAT(shapes(parameters(config, {28, 28, 1})), ElementsAre("fc.weight 10 784", "fc.bias 10"));
  config.loss = "binary_cross_entropy";
  EXPECT_THAT(shapes(parameters(config, {1, 1, 3}, 2)), ElementsAre("fc.weight 1 3", "fc.bias 1"));
}

TEST_F(Architectures, RecurrentNetworksHavePyTorchsParameters) {
  ModelConfig config;
  config.name = "lstm";
  config.width = 32;
  config.layers = 2;
  const std::vector<std::string> lstm = shapes(parameters(config, {24, 1, 3}, 6));
  EXPECT_THAT(lstm, ElementsAre("rnn.weight_ih_l0 128 3", "rnn.weight_hh_l0 128 32", "rnn.bias_ih_l0 128",
                                "rnn.bias_hh_l0 128", "rnn.weight_ih_l1 128 32", "rnn.weight_hh_l1 128 32",
                                "rnn.bias_ih_l1 128", "rnn.bias_hh_l1 128", "fc.weight 6 32", "fc.bias 6"));
  config.name = "gru";
  EXPECT_EQ(shapes(parameters(config, {28, 28, 1}))[0], "rnn.weight_ih_l0 96 28");  // an image is read row by row
  config.bidirectional = true;
  const std::vector<std::string> both = shapes(parameters(config, {24, 1, 3}, 6));
  EXPECT_THAT(
      both,
      ElementsAre("rnn.weight_ih_l0 96 3", "rnn.weight_hh_l0 96 32", "rnn.bias_ih_l0 96", "rnn.bias_hh_l0 96",
                  "rnn.weight_ih_l0_reverse 96 3", "rnn.weight_hh_l0_reverse 96 32", "rnn.bias_ih_l0_reverse 96",
                  "rnn.bias_hh_l0_reverse 96", "rnn.weight_ih_l1 96 64", "rnn.weight_hh_l1 96 32", "rnn.bias_ih_l1 96",
                  "rnn.bias_hh_l1 96", "rnn.weight_ih_l1_reverse 96 64", "rnn.weight_hh_l1_reverse 96 32",
                  "rnn.bias_ih_l1_reverse 96", "rnn.bias_hh_l1_reverse 96", "fc.weight 6 64", "fc.bias 6"));
}

// 4 blocks of 12 w^2 + 13 w, two tables, a last norm and the head.
TEST_F(Architectures, GptHasTheParametersOfGpt2) {
  ModelConfig config;
  config.name = "gpt";
  config.width = 128;
  config.layers = 4;
  const auto specs = parameters(config, {64, 1, 1}, 256);
  EXPECT_EQ(total(specs), 4 * (12 * 128 * 128 + 13 * 128) + (256 + 64) * 128 + 2 * 128 + 256 * 129);
  EXPECT_THAT(std::vector(specs.begin(), specs.begin() + 2),
              testing::Each(testing::Field(&ParameterSpec::initializer, testing::Field(&Initializer::scale, 0.02f))));
  const std::vector<std::string> lines = shapes(specs);
  for (const char* line :
       {"wte.weight 256 128", "wte.position_weight 64 128", "h.3.ln_1.weight 128", "h.0.attn.c_attn.weight 384 128",
        "h.0.attn.c_proj.weight 128 128", "h.2.mlp.c_fc.weight 512 128", "h.2.mlp.c_proj.weight 128 512",
        "ln_f.bias 128", "lm_head.weight 256 128"})
    EXPECT_THAT(lines, testing::Contains(line));
  EXPECT_THAT(refusal(config, {8, 8, 1}), HasSubstr("reads tokens"));
  config.heads = 3;
  EXPECT_THAT(refusal(config, {8, 1, 1}), HasSubstr("model.heads = 3"));
}

TEST_F(Architectures, WeightsStartAsInPyTorch) {
  ModelConfig config;
  config.name = "cnn";
  config.channels = {32, 64};
  const auto specs = parameters(config, {28, 28, 1});
  const double fan_in[] = {9, 9, 288, 288, 3136, 3136, 128, 128};
  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(specs[i].initializer.kind, InitializerKind::kUniform);
    EXPECT_FLOAT_EQ(specs[i].initializer.scale, static_cast<float>(1.0 / std::sqrt(fan_in[i]))) << specs[i].name;
  }
}

// The names and shapes of torchvision's state_dict; convolutions keep theirs with channels last.
TEST_F(Architectures, ResidualNetworksHaveTorchvisionsParameters) {
  struct Expected {
    const char* name;
    std::size_t tensors;  // without num_batches_tracked
    std::int64_t elements, fc_inputs;
  };
  // len(state_dict()) less one a normalization, sum(p.numel() for p in parameters()) plus the running means'.
  for (const auto& [name, tensors, elements, fc_inputs] :
       {Expected{"resnet18", 102, 11'689'512 + 9'600, 512}, Expected{"resnet34", 182, 21'797'672 + 17'024, 512},
        Expected{"resnet50", 267, 25'557'032 + 53'120, 2048}}) {
    SCOPED_TRACE(name);
    ModelConfig config;
    config.name = name;
    config.stem = "imagenet";
    std::map<std::string, ParameterSpec> specs;
    std::int64_t sum = 0;
    const std::vector<Layer> layers = build_layers(config, {224, 224, 3}, 1000, 1).value();
    for (const Layer& layer : layers)
      for (const ParameterSpec& spec : parameter_specs(layer)) {
        specs.emplace(spec.name, spec);
        sum += spec.elements();
      }
    EXPECT_EQ(specs.size(), tensors);
    EXPECT_EQ(sum, elements);
    EXPECT_THAT(specs["conv1.weight"].shape, ElementsAre(64, 7, 7, 3));
    EXPECT_EQ(specs["conv1.weight"].initializer.kind, InitializerKind::kNormal);
    EXPECT_FLOAT_EQ(specs["conv1.weight"].initializer.scale, static_cast<float>(std::sqrt(2.0 / (64 * 49))));
    EXPECT_THAT(specs["layer4.1.conv2.weight"].shape, ElementsAre(512, 3, 3, 512));
    EXPECT_THAT(specs["fc.weight"].shape, ElementsAre(1000, fc_inputs));
    EXPECT_EQ(specs["layer2.0.downsample.1.running_var"].initializer.kind, InitializerKind::kOnes);
    EXPECT_EQ(specs["layer2.0.downsample.1.running_var"].average, 0.1f);
    EXPECT_EQ(specs["layer2.0.downsample.1.weight"].average, 0.0f);
  }
}

TEST_F(Architectures, MistakesAreNamed) {
  ModelConfig config;
  config.name = "alexnet";
  EXPECT_THAT(refusal(config, {28, 28, 1}), HasSubstr("resnet18, resnet34, resnet50, lstm, gru, gpt, dbn or layers"));
  config.name = "lenet5";
  EXPECT_THAT(refusal(config, {6, 6, 1}), HasSubstr("layer conv2"));
  config.activation = "gelu";
  EXPECT_THAT(refusal(config, {28, 28, 1}), HasSubstr("relu, tanh or sigmoid"));
  config = {};
  config.hidden = {0};
  EXPECT_THAT(refusal(config, {28, 28, 1}), HasSubstr("layer fc1"));
  config.hidden = {8};
  config.dropout = 1.0;
  EXPECT_THAT(refusal(config, {28, 28, 1}), HasSubstr("model.dropout"));
  config.dropout = 0.0;
  config.loss = "hinge";
  EXPECT_THAT(refusal(config, {28, 28, 1}), HasSubstr("cross_entropy, binary_cross_entropy or mse"));
}

}  // namespace
}  // namespace rubato::model
