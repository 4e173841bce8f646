#include "model/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>
#include <variant>

#include "base/check.h"
#include "model/parameter_specs.h"

namespace rubato::model {

namespace {

// 256 GiB: with as many samples as a batch may have no product of sizes is more than 64 bits hold. (As double: those
// that are asked about may be.)
bool is_possible(const kernels::TensorShape& output, const kernels::OpDesc& op) {
  constexpr double kMost = 1ull << 36;
  const auto few = [](std::initializer_list<std::int64_t> extents) {
    double product = 1.0;
    for (const std::int64_t extent : extents) product *= static_cast<double>(extent);
    return product <= kMost;
  };
  if (!few({output.height, output.width, output.channels})) return false;
  const kernels::TensorShape input = kernels::input_shape(op);
  if (const auto* dense = std::get_if<kernels::DenseDesc>(&op); dense != nullptr && !dense->per_position)
    return few({dense->units, input.height, input.width, input.channels});
  if (const auto* dense = std::get_if<kernels::DenseDesc>(&op)) return few({dense->units, input.channels});
  if (const auto* convolution = std::get_if<kernels::ConvolutionDesc>(&op))
    return few({convolution->channels, convolution->kernel, convolution->kernel, input.channels});
  if (const auto* cell = std::get_if<kernels::RecurrentDesc>(&op))
    return few({cell->gates(), cell->units, std::max(input.channels, cell->units)});
  if (const auto* table = std::get_if<kernels::EmbeddingDesc>(&op)) return few({table->rows, table->width});
  return true;
}

}  // namespace

std::vector<Layer> without_dropout(const std::vector<Layer>& layers) {
  std::vector<Layer> kept;
  std::vector<TensorId> now{0};  // what each tensor has become
  for (const Layer& layer : layers) {
    if (std::holds_alternative<kernels::DropoutDesc>(layer.op)) {
      now.push_back(now[layer.input]);
      continue;
    }
    kept.push_back({layer.name, layer.op, now[layer.input], now[layer.addend], layer.initializer});
    now.push_back(kept.size());
  }
  return kept;
}

std::vector<ParameterSpec> parameter_specs(const Layer& layer) {
  std::vector<ParameterSpec> specs = parameter_specs(layer.name, layer.op);
  if (!layer.initializer) return specs;
  for (ParameterSpec& spec : specs)
    if (spec.shape.size() > 1) spec.initializer = *layer.initializer;
  return specs;
}

NetworkBuilder::NetworkBuilder(kernels::TensorShape input) : shapes_{input} {
  if (input.elements() < 1) status_ = Error{Cause::kUsage, "the model's input has no elements"};
}

void NetworkBuilder::dense(const std::string& name, std::int64_t units, kernels::Activation activation) {
  append(name, kernels::DenseDesc{shape(), units, activation});
}

void NetworkBuilder::dense_per_position(const std::string& name, std::int64_t units, kernels::Activation activation,
                                        float deviation) {
  append(name, kernels::DenseDesc{shape(), units, activation, true});
  start_normal(deviation);
}

void NetworkBuilder::convolution(const std::string& name, kernels::ConvolutionDesc constants) {
  constants.input = shape();
  append(name, constants);
}

void NetworkBuilder::plain_convolution(const std::string& name, kernels::ConvolutionDesc constants) {
  constants.bias = false;
  convolution(name, constants);
  const auto fan_out = static_cast<double>(constants.channels * constants.kernel * constants.kernel);
  start_normal(static_cast<float>(std::sqrt(2.0 / fan_out)));
}

void NetworkBuilder::pool(const std::string& name, kernels::PoolDesc constants) {
  constants.input = shape();
  append(name, constants);
}

void NetworkBuilder::global_average(const std::string& name) { append(name, kernels::GlobalAverageDesc{shape()}); }

void NetworkBuilder::dropout(const std::string& name, double rate, std::uint64_t seed) {
  if (rate == 0.0) return;
  if (!(rate > 0.0 && rate < 1.0)) {
    if (status_.ok()) status_ = Error{Cause::kUsage, fmt::format("model.dropout = {}: it must lie in [0, 1)", rate)};
    return;
  }
  append(name, kernels::DropoutDesc{shape(), rate, seed, static_cast<std::uint32_t>(layers_.size())});
}

void NetworkBuilder::batch_norm(const std::string& name, kernels::Activation activation) {
  append(name, kernels::BatchNormDesc{.input = shape(), .activation = activation});
}

void NetworkBuilder::batch_norm_and_add(const std::string& name, TensorId addend, kernels::Activation activation) {
  append(name, kernels::BatchNormDesc{.input = shape(), .activation = activation, .adds = true}, addend);
}

void NetworkBuilder::add(const std::string& name, TensorId addend, kernels::Activation activation) {
  append(name, kernels::AddDesc{shape(), activation}, addend);
}

void NetworkBuilder::embedding(const std::string& name, std::int64_t rows, std::int64_t width, float deviation) {
  append(name, kernels::EmbeddingDesc{shape(), rows, width, true});
  start_normal(deviation);
}

void NetworkBuilder::layer_norm(const std::string& name) { append(name, kernels::LayerNormDesc{shape()}); }

void NetworkBuilder::attention(const std::string& name, std::int64_t heads) {
  if (status_.ok() && (heads < 1 || shape().channels % (3 * heads) != 0))
    status_ = Error{Cause::kUsage, fmt::format("model.heads = {} does not divide the model's {} features", heads,
                                               shape().channels / 3)};
  append(name, kernels::AttentionDesc{shape(), heads});
}

void NetworkBuilder::recurrent(const std::string& name, kernels::RecurrentDesc constants) {
  constants.input = shape();
  append(name, constants);
}

void NetworkBuilder::fail(Error error) {
  if (status_.ok()) status_ = std::move(error);
}

void NetworkBuilder::start_normal(float deviation) {
  if (status_.ok()) layers_.back().initializer = {InitializerKind::kNormal, deviation};
}

void NetworkBuilder::go_to(TensorId tensor) {
  if (!status_.ok()) return;
  RUBATO_CHECK(tensor < shapes_.size(), "tensor {} of {}", tensor, shapes_.size());
  here_ = tensor;
}

void NetworkBuilder::append(const std::string& name, const kernels::OpDesc& op, TensorId addend) {
  if (!status_.ok()) return;
  const kernels::TensorShape input = shape(), output = kernels::output_shape(op);
  if (output.height < 1 || output.width < 1 || output.channels < 1) {
    status_ = Error{Cause::kUsage, fmt::format("layer {} would give {} x {} x {} from {} x {} x {} (height, width, "
                                               "channels): the input is too small for this model, or a width is not "
                                               "positive",
                                               name, output.height, output.width, output.channels, input.height,
                                               input.width, input.channels)};
    return;
  }
  if (!is_possible(output, op)) {
    status_ = Error{
        Cause::kUsage,
        fmt::format("layer {} would give {} x {} x {} (height, width, channels) from {} x {} x {}: more "
                    "numbers of a sample, or weights, than 68,719,476,736",
                    name, output.height, output.width, output.channels, input.height, input.width, input.channels)};
    return;
  }
  if (kernels::has_addend(op)) {
    const kernels::TensorShape& added = shapes_.at(addend);
    if (added != output) {
      status_ = Error{Cause::kUsage, fmt::format("layer {} adds {} x {} x {} to {} x {} x {} (height, width, channels)",
                                                 name, added.height, added.width, added.channels, output.height,
                                                 output.width, output.channels)};
      return;
    }
    RUBATO_CHECK(addend != here_, "layer {} adds its input to itself", name);
  }
  layers_.push_back({name, op, here_, addend});
  shapes_.push_back(output);
  here_ = layers_.size();
}

Result<std::vector<Layer>> NetworkBuilder::finish() && {
  RUBATO_TRY(status_);
  return std::move(layers_);
}

}  // namespace rubato::model
