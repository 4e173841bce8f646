#include "data/fitted.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace rubato::data {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Scaling& scaling) {
  return {{"standard", scaling.standard()}, {"mean", scaling.mean()}, {"deviation", scaling.deviation()}};
}

Scaling scaling_of(const Json& json) {
  return Scaling::of(json.at("standard").get<bool>(), json.at("mean").get<std::vector<double>>(),
                     json.at("deviation").get<std::vector<double>>());
}

bool makes_sense(const Scaling& scaling, std::size_t columns) {
  const auto finite = [](double value) { return std::isfinite(value); };
  return scaling.mean().size() == columns && scaling.deviation().size() == columns &&
         std::ranges::all_of(scaling.mean(), finite) &&
         std::ranges::all_of(scaling.deviation(), [&](double value) { return finite(value) && value > 0.0; });
}

}  // namespace

std::string text_of(const Fitted& fitted) {
  const Json json = {{"inputs", fitted.inputs},
                     {"input_scaling", json_of(fitted.input_scaling)},
                     {"target_scaling", json_of(fitted.target_scaling)},
                     {"classes", fitted.classes},
                     {"naive_errors", fitted.naive_errors}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Fitted> parse_fitted(const std::string& text, const std::string& origin) {
  const Error wrong{Cause::kData,
                    fmt::format("{}: \"{}\" in its metadata is not what Rubato writes", origin, kFittedKey)};
  Fitted fitted;
  try {
    const Json json = Json::parse(text);
    fitted.inputs = json.at("inputs").get<std::vector<std::string>>();
    fitted.input_scaling = scaling_of(json.at("input_scaling"));
    fitted.target_scaling = scaling_of(json.at("target_scaling"));
    fitted.classes = json.at("classes").get<std::vector<std::string>>();
    fitted.naive_errors = json.at("naive_errors").get<std::vector<double>>();
  } catch (const Json::exception&) {
    return wrong;
  }
  if (!makes_sense(fitted.input_scaling, fitted.inputs.size()) ||
      !makes_sense(fitted.target_scaling, fitted.target_scaling.mean().size()))
    return wrong;
  return fitted;
}

}  // namespace rubato::data
