#include "model/parameter_specs.h"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>

#include "base/check.h"

namespace rubato::model {
namespace {

struct Start {
  std::string name;  // in full
  Initializer initializer;
  float average = 0.0f;
};
using Starts = std::vector<Start>;

constexpr Initializer kZeros{InitializerKind::kZeros, 0.0f}, kOnes{InitializerKind::kOnes, 0.0f};
constexpr float kMomentum = 0.1f;  // PyTorch's: the fraction by which running means move

Initializer uniform_within_root_of(std::int64_t count) {
  return {InitializerKind::kUniform, static_cast<float>(1.0 / std::sqrt(static_cast<double>(count)))};
}

Starts recurrent_starts(const std::string& name, const kernels::RecurrentDesc& desc) {
  const std::size_t dot = name.rfind('.');
  const std::string module = name.substr(0, dot), place = dot == std::string::npos ? "l0" : name.substr(dot + 1);
  Starts starts;
  for (const char* direction : {"", "_reverse"}) {
    if (*direction != '\0' && !desc.bidirectional) continue;
    for (const char* kind : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"})
      starts.push_back({fmt::format("{}.{}_{}{}", module, kind, place, direction), uniform_within_root_of(desc.units)});
  }
  return starts;
}

Starts starts_of(const std::string& name, const kernels::OpDesc& op,
                 const std::vector<std::vector<std::int64_t>>& shapes) {
  if (std::holds_alternative<kernels::LayerNormDesc>(op) || std::holds_alternative<kernels::GroupNormDesc>(op))
    return {{name + ".weight", kOnes}, {name + ".bias", kZeros}};
  if (std::holds_alternative<kernels::BatchNormDesc>(op))
    return {{name + ".weight", kOnes},
            {name + ".bias", kZeros},
            {name + ".running_mean", kZeros, kMomentum},
            {name + ".running_var", kOnes, kMomentum}};
  if (const auto* embedding = std::get_if<kernels::EmbeddingDesc>(&op)) {
    constexpr Initializer kNormal{InitializerKind::kNormal, 1.0f};
    Starts starts{{name + ".weight", kNormal}};
    if (embedding->positions) starts.push_back({name + ".position_weight", kNormal});
    return starts;
  }
  if (const auto* recurrent = std::get_if<kernels::RecurrentDesc>(&op)) return recurrent_starts(name, *recurrent);
  if (const auto* dense = std::get_if<kernels::DenseDesc>(&op); dense != nullptr && dense->visible_bias) {
    constexpr Initializer kSmall{InitializerKind::kNormal, 0.01f};
    return {{name + ".weight", kSmall}, {name + ".bias", kZeros}, {name + ".visible_bias", kZeros}};
  }
  if (shapes.empty()) return {};
  std::int64_t fan_in = 1;
  for (std::size_t axis = 1; axis < shapes[0].size(); ++axis) fan_in *= shapes[0][axis];
  Starts starts{{name + ".weight", uniform_within_root_of(fan_in)}};
  if (shapes.size() > 1) starts.push_back({name + ".bias", uniform_within_root_of(fan_in)});
  return starts;
}

}  // namespace

std::vector<ParameterSpec> parameter_specs(const std::string& name, const kernels::OpDesc& op) {
  auto shapes = kernels::parameter_shapes(op);
  const Starts starts = starts_of(name, op, shapes);
  RUBATO_CHECK(shapes.size() == starts.size(), "{} names for the {} parameters of {}", starts.size(), shapes.size(),
               name);
  std::vector<ParameterSpec> specs(starts.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    specs[i].name = starts[i].name;
    specs[i].shape = std::move(shapes[i]);
    specs[i].initializer = starts[i].initializer;
    specs[i].average = starts[i].average;
  }
  return specs;
}

}  // namespace rubato::model
