// No operation of our networks may fall to a library's reference code, which is up to a thousand times
// slower and gives no other sign. An allow-list for each operation, since not every slow path calls
// itself "ref".
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "model/architectures.h"
#include "model/layouts.h"
#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

std::vector<std::string> allowed(const kernels::OpDesc& desc) {
  struct Visitor {
    using Names = std::vector<std::string>;
    Names operator()(const kernels::DenseDesc&) const { return {"x64:gemm:jit", "brgemm"}; }
    Names operator()(const kernels::ConvolutionDesc&) const {
      return {"brgconv:",      "brgconv_1x1:", "jit:",          "jit_1x1:",
              "jit_wino_4x3:", "jit_bf16:",    "jit_bf16_1x1:", "x64:gemm:jit"};
    }
    Names operator()(const kernels::PoolDesc&) const { return {"windows"}; }
    Names operator()(const kernels::ActivationDesc&) const { return {"jit:"}; }
    Names operator()(const kernels::GlobalAverageDesc&) const { return {"rows"}; }
    Names operator()(const kernels::AddDesc&) const { return {"blocks"}; }
    Names operator()(const kernels::BatchNormDesc&) const { return {"chunks"}; }
    Names operator()(const kernels::DropoutDesc&) const { return {"philox", "mask"}; }
    Names operator()(const kernels::LayerNormDesc&) const { return {"lanes"}; }
    Names operator()(const kernels::GroupNormDesc&) const { return {"channels"}; }
    Names operator()(const kernels::AttentionDesc&) const { return {"blocks"}; }
    Names operator()(const kernels::RecurrentDesc&) const { return {"sgemm"}; }
    Names operator()(const kernels::EmbeddingDesc&) const { return {"rows", "columns"}; }
  };
  return std::visit(Visitor{}, desc);
}

std::vector<ModelConfig> networks() {
  ModelConfig mlp, lenet, lenet_tanh, cnn, resnet18, resnet50;
  mlp.hidden = {1024, 1024};
  mlp.dropout = 0.2;
  lenet.name = lenet_tanh.name = "lenet5";
  lenet_tanh.activation = "tanh";
  cnn.name = "cnn";
  cnn.channels = {32, 64};
  resnet18.name = "resnet18";
  resnet50.name = "resnet50";
  resnet50.stem = "imagenet";
  resnet50.width = 16;  // as shapes go, all of them
  return {mlp, lenet, lenet_tanh, cnn, resnet18, resnet50};
}

void check_algorithms(kernels::Device& device, bool bfloat16) {
  std::size_t on_bfloat16 = 0;
  for (const ModelConfig& config : networks()) {
    const std::vector<Layer> layers = build_layers(config, {28, 28, 1}, 10, 1).value();
    const bool residual = config.name.starts_with("resnet");  // large, and planned for as long
    for (const std::int64_t samples :
         residual ? std::vector<std::int64_t>{1, 32} : std::vector<std::int64_t>{1, 3, 16, 64, 128, 500}) {
      const std::vector<kernels::Layout> layouts = choose_layouts(device, layers);
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const Layer& layer = layers[i];
        const kernels::PlanHint hint{
            .input_gradient = layer.input > 0, .input = layouts[layer.input], .output = layouts[i + 1]};
        const auto op = device.plan(kernels::with_samples(layer.op, samples), hint).value();
        const auto names = allowed(layer.op);
        for (const kernels::Algorithm& algorithm : op->info().algorithms) {
          const bool known = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
            return algorithm.implementation.starts_with(name);
          });
          EXPECT_TRUE(known) << config.name << " " << layer.name << ", " << samples << " samples, " << algorithm.call
                             << ": " << algorithm.implementation;
          on_bfloat16 += algorithm.implementation.find("bf16") != std::string::npos ? 1 : 0;
        }
      }
    }
  }
  EXPECT_EQ(on_bfloat16 > 0, bfloat16);
}

TEST(Algorithms, AreOnTheAllowList) { check_algorithms(*kernels::open_device({"cpu", 1}).value(), false); }

TEST(Algorithms, OnBfloat16AreOnTheAllowList) {
  const auto device = kernels::open_device({"cpu", 1, kernels::Precision::kBfloat16});
  if (!device.ok()) GTEST_SKIP() << device.error().message;
  check_algorithms(*device.value(), true);
}

}  // namespace
}  // namespace rubato::model
