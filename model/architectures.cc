#include "model/architectures.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "model/check_lengths.h"
#include "model/dbn.h"
#include "model/gpt.h"
#include "model/layer_list.h"
#include "model/recurrent.h"
#include "model/resnet.h"

namespace rubato::model {
namespace {

using kernels::Activation;

Result<Activation> parse_activation(const std::string& name) {
  if (name == "relu") return Activation::kRelu;
  if (name == "tanh") return Activation::kTanh;
  if (name == "sigmoid") return Activation::kSigmoid;
  return Error{Cause::kUsage, fmt::format("model.activation = \"{}\": relu, tanh or sigmoid", name)};
}

void add_hidden(NetworkBuilder& net, const std::vector<std::int64_t>& widths, Activation activation) {
  for (std::size_t i = 0; i < widths.size(); ++i) net.dense(fmt::format("fc{}", i + 1), widths[i], activation);
}

void add_lenet(NetworkBuilder& net, Activation activation) {
  using kernels::PoolDesc;
  const bool relu = activation == Activation::kRelu;  // commutes with a maximum: after the pool it is cheaper
  const Activation before = relu ? Activation::kNone : activation, after = relu ? activation : Activation::kNone;
  const PoolDesc pool{.kind = relu ? PoolDesc::Kind::kMax : PoolDesc::Kind::kAverage, .activation = after};
  net.convolution("conv1", {.channels = 6, .kernel = 5, .padding = 2, .activation = before});
  net.pool("pool1", pool);
  net.convolution("conv2", {.channels = 16, .kernel = 5, .activation = before});
  net.pool("pool2", pool);
  add_hidden(net, {120, 84}, activation);
}

void add_cnn(NetworkBuilder& net, const ModelConfig& config) {
  for (std::size_t i = 0; i < config.channels.size(); ++i) {
    net.convolution(fmt::format("conv{}", i + 1), {.channels = config.channels[i], .kernel = 3, .padding = 1});
    net.pool(fmt::format("pool{}", i + 1), {.activation = Activation::kRelu});
  }
  add_hidden(net, {config.dense}, Activation::kRelu);
}

Result<std::vector<Layer>> named_layers(const ModelConfig& config, const InputShape& input, std::int64_t outputs,
                                        std::uint64_t seed) {
  RUBATO_ASSIGN(const Activation activation, parse_activation(config.activation));
  const bool rows = is_recurrent(config.name);
  NetworkBuilder net({1, input.height, rows ? 1 : input.width, rows ? input.width * input.channels : input.channels});
  std::string last = "fc";
  if (config.name == "mlp") {
    add_hidden(net, config.hidden, activation);
    last = fmt::format("fc{}", config.hidden.size() + 1);
  } else if (config.name == "lenet5") {
    add_lenet(net, activation);
    last = "fc3";
  } else if (config.name == "cnn") {
    add_cnn(net, config);
    last = "fc2";
  } else if (is_resnet(config.name)) {
    RUBATO_TRY(add_resnet(net, config));
  } else if (is_recurrent(config.name)) {
    add_recurrent(net, config);
  } else if (config.name == "dbn") {
    add_belief_layers(net, config);
    last = fmt::format("fc{}", config.hidden.size() + 1);
  } else if (config.name == "layers") {
    RUBATO_TRY(add_layer_list(net, config, input, outputs, seed));
    return std::move(net).finish();
  } else if (config.name == "gpt") {
    RUBATO_TRY(add_gpt(net, config, outputs, seed));
    return std::move(net).finish();
  } else if (config.name != "logistic") {
    return Error{Cause::kUsage, fmt::format("model.name = \"{}\": quadratic, logistic, mlp, lenet5, cnn, resnet18, "
                                            "resnet34, resnet50, lstm, gru, gpt, dbn or layers",
                                            config.name)};
  }
  net.dropout("dropout", config.dropout, seed);
  net.dense(last, outputs, Activation::kNone);
  return std::move(net).finish();
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
  RUBATO_ASSIGN(std::vector<Layer> layers, named_layers(config, input, outputs, seed));
  if (!input.lengths) return layers;
  RUBATO_ASSIGN(const kernels::LossDesc::Kind loss, parse_loss(config.loss));
  RUBATO_TRY(check_lengths(layers, loss));
  return layers;
}

}  // namespace rubato::model
