#include "model/layers.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "model/sequence_specs.h"

namespace rubato::model {

std::vector<ParameterSpec> parameter_specs(const Layer& layer) {
  if (auto known = sequence_specs(layer.name, layer.op); !known.empty()) return known;
  constexpr std::array<const char*, 2> suffixes = {".weight", ".bias"};
  const auto shapes = kernels::parameter_shapes(layer.op);
  std::vector<ParameterSpec> specs;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    ParameterSpec spec;
    spec.name = layer.name + suffixes.at(i);
    spec.shape = shapes[i];
    std::int64_t fan_in = 1;
    for (std::size_t axis = 1; axis < shapes[0].size(); ++axis) fan_in *= shapes[0][axis];
    spec.initializer = {InitializerKind::kUniform, static_cast<float>(1.0 / std::sqrt(static_cast<double>(fan_in)))};
    specs.push_back(std::move(spec));
  }
  return specs;
}

LayerChain::LayerChain(kernels::TensorShape input) : shape_(input) {
  if (shape_.elements() < 1) status_ = Error{Cause::kUsage, "the model's input has no elements"};
}

void LayerChain::dense(const std::string& name, std::int64_t units, kernels::Activation activation) {
  append(name, kernels::DenseDesc{shape_, units, activation});
}

void LayerChain::convolution(const std::string& name, kernels::ConvolutionDesc constants) {
  constants.input = shape_;
  append(name, constants);
}

void LayerChain::pool(const std::string& name, kernels::PoolDesc constants) {
  constants.input = shape_;
  append(name, constants);
}

void LayerChain::dropout(double rate, std::uint64_t seed) {
  if (rate == 0.0) return;
  if (!(rate > 0.0 && rate < 1.0)) {
    if (status_.ok()) status_ = Error{Cause::kUsage, fmt::format("model.dropout = {}: it must lie in [0, 1)", rate)};
    return;
  }
  append("dropout", kernels::DropoutDesc{shape_, rate, seed, static_cast<std::uint32_t>(layers_.size())});
}

void LayerChain::append(const std::string& name, const kernels::OpDesc& op) {
  if (!status_.ok()) return;
  const kernels::TensorShape output = kernels::output_shape(op);
  if (output.height < 1 || output.width < 1 || output.channels < 1) {
    status_ = Error{Cause::kUsage, fmt::format("layer {} would give {} x {} x {} from {} x {} x {} (height, width, "
                                               "channels): the input is too small for this model, or a width is not "
                                               "positive",
                                               name, output.height, output.width, output.channels, shape_.height,
                                               shape_.width, shape_.channels)};
    return;
  }
  shape_ = output;
  layers_.push_back({name, op});
}

Result<std::vector<Layer>> LayerChain::finish() && {
  RUBATO_TRY(status_);
  return std::move(layers_);
}

}  // namespace rubato::model
