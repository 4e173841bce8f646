#include "model/resnet.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>

#include "base/check.h"

namespace rubato::model {
namespace {

using kernels::Activation;
constexpr std::int64_t kExpansion = 4;  // of a block of three

struct Plan {
  std::array<int, 4> blocks;
  bool bottleneck;
};

std::optional<Plan> plan_of(const std::string& name) {
  if (name == "resnet18") return Plan{{2, 2, 2, 2}, false};
  if (name == "resnet34") return Plan{{3, 4, 6, 3}, false};
  if (name == "resnet50") return Plan{{3, 4, 6, 3}, true};
  return std::nullopt;
}

void add_block(NetworkBuilder& net, const std::string& name, std::int64_t channels, std::int64_t stride,
               bool bottleneck) {
  const std::int64_t outputs = bottleneck ? kExpansion * channels : channels;
  const bool same_shape = stride == 1 && net.shape().channels == outputs;
  const TensorId before = net.here();
  const auto convolution = [&](const char* layer, std::int64_t count, std::int64_t kernel, std::int64_t by) {
    net.plain_convolution(name + layer, {.channels = count, .kernel = kernel, .stride = by, .padding = kernel / 2});
  };
  if (bottleneck) {
    convolution(".conv1", channels, 1, 1);
    net.batch_norm(name + ".bn1", Activation::kRelu);
    convolution(".conv2", channels, 3, stride);
    net.batch_norm(name + ".bn2", Activation::kRelu);
    convolution(".conv3", outputs, 1, 1);
  } else {
    convolution(".conv1", channels, 3, stride);
    net.batch_norm(name + ".bn1", Activation::kRelu);
    convolution(".conv2", channels, 3, 1);
  }
  const TensorId after = net.here();
  TensorId shortcut = before;
  if (!same_shape) {
    net.go_to(before);
    convolution(".downsample.0", outputs, 1, stride);
    net.batch_norm(name + ".downsample.1", Activation::kNone);
    shortcut = net.here();
    net.go_to(after);
  }
  net.batch_norm_and_add(name + (bottleneck ? ".bn3" : ".bn2"), shortcut, Activation::kRelu);
}

}  // namespace

bool is_resnet(const std::string& name) { return plan_of(name).has_value(); }

Status add_resnet(NetworkBuilder& net, const ModelConfig& config) {
  RUBATO_CHECK(is_resnet(config.name), "{} is no residual network", config.name);
  const Plan plan = *plan_of(config.name);
  if (config.stem == "imagenet") {
    net.plain_convolution("conv1", {.channels = config.width, .kernel = 7, .stride = 2, .padding = 3});
    net.batch_norm("bn1", Activation::kRelu);
    net.pool("maxpool", {.window = 3, .stride = 2, .padding = 1});
  } else if (config.stem == "cifar") {
    net.plain_convolution("conv1", {.channels = config.width, .kernel = 3, .padding = 1});
    net.batch_norm("bn1", Activation::kRelu);
  } else {
    return Error{Cause::kUsage, fmt::format("model.stem = \"{}\": cifar or imagenet", config.stem)};
  }
  std::int64_t channels = config.width;
  for (std::size_t layer = 0; layer < plan.blocks.size(); ++layer) {
    for (int block = 0; block < plan.blocks.at(layer); ++block)
      add_block(net, fmt::format("layer{}.{}", layer + 1, block), channels, layer > 0 && block == 0 ? 2 : 1,
                plan.bottleneck);
    channels *= 2;
  }
  net.global_average("avgpool");
  return {};
}

}  // namespace rubato::model
