#include "model/sequence_specs.h"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <utility>
#include <variant>

#include "base/check.h"

namespace rubato::model {
namespace {

using Starts = std::vector<std::pair<std::string, Initializer>>;  // by full name

Starts recurrent_starts(const std::string& name, const kernels::RecurrentDesc& desc) {
  const std::size_t dot = name.rfind('.');
  const std::string module = name.substr(0, dot), place = dot == std::string::npos ? "l0" : name.substr(dot + 1);
  const Initializer uniform{InitializerKind::kUniform,
                            static_cast<float>(1.0 / std::sqrt(static_cast<double>(desc.units)))};
  Starts starts;
  for (const char* kind : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}) {
    starts.emplace_back(fmt::format("{}.{}_{}", module, kind, place), uniform);
  }
  return starts;
}

Starts starts_of(const std::string& name, const kernels::OpDesc& op) {
  if (std::holds_alternative<kernels::LayerNormDesc>(op) || std::holds_alternative<kernels::GroupNormDesc>(op)) {
    return {{name + ".weight", {InitializerKind::kOnes, 0.0f}}, {name + ".bias", {InitializerKind::kZeros, 0.0f}}};
  }
  if (const auto* embedding = std::get_if<kernels::EmbeddingDesc>(&op)) {
    Starts starts{{name + ".weight", {InitializerKind::kNormal, 1.0f}}};
    if (embedding->positions) starts.push_back({name + ".position_weight", {InitializerKind::kNormal, 1.0f}});
    return starts;
  }
  if (const auto* recurrent = std::get_if<kernels::RecurrentDesc>(&op)) return recurrent_starts(name, *recurrent);
  return {};
}

}  // namespace

std::vector<ParameterSpec> sequence_specs(const std::string& name, const kernels::OpDesc& op) {
  const Starts starts = starts_of(name, op);
  if (starts.empty()) return {};
  auto shapes = kernels::parameter_shapes(op);
  RUBATO_CHECK(shapes.size() == starts.size(), "{} names for the {} parameters of {}", starts.size(), shapes.size(),
               name);
  std::vector<ParameterSpec> specs(starts.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    specs[i].name = starts[i].first;
    specs[i].shape = std::move(shapes[i]);
    specs[i].initializer = starts[i].second;
  }
  return specs;
}

}  // namespace rubato::model
