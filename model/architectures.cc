#include "model/architectures.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace rubato::model {
namespace {

using kernels::Activation;

Result<Activation> parse_activation(const std::string& name) {
  if (name == "relu") return Activation::kRelu;
  if (name == "tanh") return Activation::kTanh;
  if (name == "sigmoid") return Activation::kSigmoid;
  return Error{Cause::kUsage, fmt::format("model.activation = \"{}\": relu, tanh or sigmoid", name)};
}

void add_hidden(LayerChain& chain, const std::vector<std::int64_t>& widths, Activation activation) {
  for (std::size_t i = 0; i < widths.size(); ++i) chain.dense(fmt::format("fc{}", i + 1), widths[i], activation);
}

void add_lenet(LayerChain& chain, Activation activation) {
  using kernels::PoolDesc;
  const bool relu = activation == Activation::kRelu;  // commutes with a maximum: after the pool it is cheaper
  const Activation before = relu ? Activation::kNone : activation, after = relu ? activation : Activation::kNone;
  const PoolDesc pool{.kind = relu ? PoolDesc::Kind::kMax : PoolDesc::Kind::kAverage, .activation = after};
  chain.convolution("conv1", {.channels = 6, .kernel = 5, .padding = 2, .activation = before});
  chain.pool("pool1", pool);
  chain.convolution("conv2", {.channels = 16, .kernel = 5, .activation = before});
  chain.pool("pool2", pool);
  add_hidden(chain, {120, 84}, activation);
}

void add_cnn(LayerChain& chain, const ModelConfig& config) {
  for (std::size_t i = 0; i < config.channels.size(); ++i) {
    chain.convolution(fmt::format("conv{}", i + 1), {.channels = config.channels[i], .kernel = 3, .padding = 1});
    chain.pool(fmt::format("pool{}", i + 1), {.activation = Activation::kRelu});
  }
  add_hidden(chain, {config.dense}, Activation::kRelu);
}

}  // namespace

Result<kernels::LossDesc::Kind> parse_loss(const std::string& name) {
  using Kind = kernels::LossDesc::Kind;
  if (name == "cross_entropy") return Kind::kCrossEntropy;
  if (name == "binary_cross_entropy") return Kind::kBinaryCrossEntropy;
  if (name == "mse") return Kind::kMeanSquaredError;
  return Error{Cause::kUsage, fmt::format("model.loss = \"{}\": cross_entropy, binary_cross_entropy or mse", name)};
}

std::int64_t outputs_for(kernels::LossDesc::Kind loss, std::int64_t classes) {
  return loss == kernels::LossDesc::Kind::kBinaryCrossEntropy && classes == 2 ? 1 : classes;
}

Result<std::vector<Layer>> build_layers(const ModelConfig& config, const InputShape& input, std::int64_t outputs,
                                        std::uint64_t seed) {
  RUBATO_ASSIGN(const Activation activation, parse_activation(config.activation));
  LayerChain chain({1, input.height, input.width, input.channels});
  std::string last = "fc";
  if (config.name == "mlp") {
    add_hidden(chain, config.hidden, activation);
    last = fmt::format("fc{}", config.hidden.size() + 1);
  } else if (config.name == "lenet5") {
    add_lenet(chain, activation);
    last = "fc3";
  } else if (config.name == "cnn") {
    add_cnn(chain, config);
    last = "fc2";
  } else if (config.name != "logistic") {
    return Error{Cause::kUsage,
                 fmt::format("model.name = \"{}\": quadratic, logistic, mlp, lenet5 or cnn", config.name)};
  }
  chain.dropout(config.dropout, seed);
  chain.dense(last, outputs, Activation::kNone);
  return std::move(chain).finish();
}

}  // namespace rubato::model
