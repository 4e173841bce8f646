#include "data/fitted.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/utf8.h"

namespace rubato::data {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kLatin1 = "latin1";

// A name as it is, where it is UTF-8, as JSON is. Else each of its bytes as the letter of that number, as Latin-1 has
// them: whatever the bytes are, they come back.
Json json_of(const std::string& name) {
  if (is_utf8(name)) return name;
  std::string letters;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80)
      letters += c;
    else
      letters += {static_cast<char>(0xC0 | byte >> 6), static_cast<char>(0x80 | (byte & 0x3F))};
  }
  return Json::object({{kLatin1, letters}});
}

Json json_of(const std::vector<std::string>& names) {
  Json all = Json::array();
  for (const std::string& name : names) all.push_back(json_of(name));
  return all;
}

// Nothing where it is no such name.
std::optional<std::string> name_of(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  const std::string letters = json.at(kLatin1).get<std::string>();
  std::string bytes;
  for (std::size_t at = 0; at < letters.size(); ++at) {
    const auto first = static_cast<unsigned char>(letters[at]);
    if (first < 0x80) {
      bytes += letters[at];
      continue;
    }
    if (first > 0xC3) return std::nullopt;  // a letter beyond 0xFF
    bytes += static_cast<char>((first & 3) << 6 | (static_cast<unsigned char>(letters[++at]) & 0x3F));
  }
  return bytes;
}

bool take_names(const Json& json, std::vector<std::string>& to) {
  for (const Json& element : json) {
    std::optional<std::string> name = name_of(element);
    if (!name) return false;
    to.push_back(*std::move(name));
  }
  return json.is_array();
}

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
  const Json json = {{"inputs", json_of(fitted.inputs)},
                     {"input_scaling", json_of(fitted.input_scaling)},
                     {"target_scaling", json_of(fitted.target_scaling)},
                     {"classes", json_of(fitted.classes)},
                     {"naive_errors", fitted.naive_errors}};
  return json.dump();
}

Result<Fitted> parse_fitted(const std::string& text, const std::string& origin) {
  const Error wrong{Cause::kData,
                    fmt::format("{}: \"{}\" in its metadata is not what Rubato writes", origin, kFittedKey)};
  Fitted fitted;
  try {
    const Json json = Json::parse(text);
    if (!take_names(json.at("inputs"), fitted.inputs) || !take_names(json.at("classes"), fitted.classes)) return wrong;
    fitted.input_scaling = scaling_of(json.at("input_scaling"));
    fitted.target_scaling = scaling_of(json.at("target_scaling"));
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
