#include "model/parameter_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <variant>

#include "base/glob.h"
#include "base/group_text.h"
#include "base/nearest.h"

namespace rubato::model {
namespace {

constexpr std::size_t kNamed = 4;  // parameters, in a message that cannot name all

bool may_have(const ParameterSpec& parameter, const GroupText& group) {
  return (group.frozen || parameter.average == 0.0f) && fits(group.pattern, parameter.name);
}

Error fits_nothing(const GroupText& group, std::span<const ParameterSpec> parameters) {
  std::vector<std::string> names;
  for (const ParameterSpec& parameter : parameters)
    if (group.frozen || parameter.average == 0.0f) names.push_back(parameter.name);
  const std::optional<std::string> guess = nearest(group.pattern, names);
  const std::size_t shown = std::min(names.size(), kNamed);
  std::string others =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) others += fmt::format(" and {} more", names.size() - shown);
  return {Cause::kUsage, fmt::format("optimizer.groups: \"{}\" fits no parameter of the model{}; it has {}",
                                     group.pattern, did_you_mean(guess), others)};
}

}  // namespace

Status apply_groups(const std::vector<std::string>& groups, std::span<ParameterSpec> parameters) {
  std::vector<bool> taken(parameters.size(), false);
  for (const std::string& text : groups) {
    RUBATO_ASSIGN(const GroupText group, parse_group(text));
    bool fitted = false, holds = false;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!may_have(parameters[i], group)) continue;
      fitted = true;
      if (taken[i]) continue;
      taken[i] = holds = true;
      parameters[i].frozen = group.frozen;
      parameters[i].rate_scale = group.rate;
      parameters[i].decay = group.decay;
    }
    if (!fitted) return fits_nothing(group, parameters);
    if (!holds)
      return Error{
          Cause::kUsage,
          fmt::format("optimizer.groups: \"{}\" has no effect: all that it fits, an earlier text fits, and the "
                      "first one holds; put it before that one",
                      text)};
  }
  const bool trained = std::ranges::any_of(
      parameters, [](const ParameterSpec& parameter) { return !parameter.frozen && parameter.average == 0.0f; });
  if (trained) return {};
  return Error{Cause::kUsage, "optimizer.groups: every parameter is frozen, and nothing is left to train"};
}

Result<std::vector<ParameterSpec>> grouped_parameters(const std::vector<std::string>& groups,
                                                      std::vector<Layer>& layers) {
  std::vector<ParameterSpec> parameters;
  for (const Layer& layer : layers) std::ranges::move(parameter_specs(layer), std::back_inserter(parameters));
  if (groups.empty()) return parameters;
  RUBATO_TRY(apply_groups(groups, parameters));
  std::size_t first = 0;
  for (Layer& layer : layers) {
    if (auto* norm = std::get_if<kernels::BatchNormDesc>(&layer.op)) {
      const ParameterSpec &mean = parameters[first + 2], &variance = parameters[first + 3];
      if (mean.frozen != variance.frozen)
        return Error{Cause::kUsage, fmt::format("optimizer.groups: of {} and {} one is frozen and one is not: freeze "
                                                "both, as in \"{}.running_* frozen\"",
                                                mean.name, variance.name, layer.name)};
      norm->fixed = mean.frozen;
    }
    first += kernels::parameter_shapes(layer.op).size();
  }
  return parameters;
}

}  // namespace rubato::model
