#include "model/torch_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "model/architectures.h"

namespace rubato::model {
namespace {

using kernels::Activation;

std::vector<Layer> layers_of(NetworkBuilder&& net) { return std::move(net).finish().value(); }

std::map<std::string, TorchTensor> by_name(const std::vector<Layer>& layers) {
  std::map<std::string, TorchTensor> found;
  for (TorchTensor& tensor : torch_tensors(layers)) found.emplace(tensor.name, tensor);
  return found;
}

std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

TEST(TorchTensors, ConvolutionsHaveChannelsBeforePixels) {
  NetworkBuilder net({1, 4, 4, 2});
  net.convolution("conv", {.channels = 3, .kernel = 2});
  const auto tensor = by_name(layers_of(std::move(net))).at("conv.weight");
  EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{3, 2, 2, 2}));
  const std::vector<float> here = counting(24);
  std::vector<float> there(24), back(24);
  to_torch(tensor, here, there);
  for (int o = 0; o < 3; ++o)
    for (int c = 0; c < 2; ++c)
      for (int h = 0; h < 2; ++h)
        for (int w = 0; w < 2; ++w)
          EXPECT_EQ(there[static_cast<std::size_t>(((o * 2 + c) * 2 + h) * 2 + w)],
                    here[static_cast<std::size_t>(((o * 2 + h) * 2 + w) * 2 + c)]);
  from_torch(tensor, there, back);
  EXPECT_EQ(back, here);
}

TEST(TorchTensors, DenseLayersOnImagesCountChannelsFirst) {
  NetworkBuilder net({1, 5, 4, 3});
  net.dropout("dropout", 0.5, 1);
  net.dense("fc1", 2, Activation::kRelu);
  net.dense("fc2", 6, Activation::kNone);
  const auto tensors = by_name(layers_of(std::move(net)));
  EXPECT_EQ(tensors.at("fc1.weight").shape, (std::vector<std::int64_t>{2, 60}));
  EXPECT_EQ(tensors.at("fc1.weight").pixels, 20);
  EXPECT_EQ(tensors.at("fc1.weight").channels, 3);
  EXPECT_EQ(tensors.at("fc1.bias").pixels, 1);
  EXPECT_EQ(tensors.at("fc2.weight").pixels, 1) << "its input is no image";
}

TEST(TorchTensors, SequencesAreTheSameInBoth) {
  NetworkBuilder net({1, 24, 1, 3});  // a window of a series
  net.dense("fc", 2, Activation::kNone);
  EXPECT_EQ(by_name(layers_of(std::move(net))).at("fc.weight").pixels, 1);

  const kernels::RecurrentDesc lstm{.input = {1, 7, 1, 3}, .cell = kernels::RecurrentDesc::Cell::kLstm, .units = 5};
  const kernels::DenseDesc dense{.input = {1, 7, 1, 5}, .units = 2};
  const auto tensors = by_name({{"lstm.l0", lstm}, {"fc", dense, 1}});
  for (const char* name :
       {"lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0", "fc.weight"}) {
    ASSERT_TRUE(tensors.contains(name)) << name;
    EXPECT_EQ(tensors.at(name).pixels, 1) << name;
    EXPECT_EQ(tensors.at(name).shape, tensors.at(name).spec.shape) << name;
  }
}

TEST(TorchTensors, ATableOfPositionsIsAModuleOfItsOwn) {
  const kernels::EmbeddingDesc op{.input = {1, 7, 1, 1}, .rows = 11, .width = 3, .positions = true};
  const auto gpt = by_name({{"wte", op}}), other = by_name({{"tokens", op}});
  EXPECT_EQ(gpt.at("wte.weight").shape, (std::vector<std::int64_t>{11, 3}));
  EXPECT_EQ(gpt.at("wpe.weight").shape, (std::vector<std::int64_t>{7, 3}));
  EXPECT_EQ(gpt.at("wpe.weight").spec.name, "wte.position_weight");
  EXPECT_TRUE(other.contains("tokens_positions.weight"));
}

TEST(TorchTensors, AResNetHasTorchvisionsNames) {
  ModelConfig config;
  config.name = "resnet18";
  config.stem = "imagenet";
  const auto layers = build_layers(config, {224, 224, 3}, 1000, 1).value();
  const auto tensors = by_name(layers);
  EXPECT_EQ(tensors.size() + torch_counters(layers).size(), 122u)
      << "as torchvision.models.resnet18().state_dict() has";
  EXPECT_EQ(tensors.at("conv1.weight").shape, (std::vector<std::int64_t>{64, 3, 7, 7}));
  EXPECT_EQ(tensors.at("layer4.0.downsample.0.weight").shape, (std::vector<std::int64_t>{512, 256, 1, 1}));
  EXPECT_EQ(tensors.at("fc.weight").pixels, 1) << "the mean over all pixels is one pixel";
  EXPECT_THAT(torch_counters(layers), testing::Contains("layer1.1.bn2.num_batches_tracked"));
}

}  // namespace
}  // namespace rubato::model
