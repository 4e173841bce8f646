#include "exchange/figures_text.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

namespace rubato::exchange {
namespace {

// A NaN has no sign for people.
std::string number(double value) { return std::isnan(value) ? "nan" : fmt::format("{:.6g}", value); }

}  // namespace

std::string text_of(const worker::Figures& figures, const data::Dataset& data, const Job& job) {
  const std::string& loss = job.model.loss;
  const bool bytes = job.data.kind == "text";
  std::string text = fmt::format("samples   {}\nloss      {}\n", figures.samples, number(figures.loss));
  if (loss == "mse") text += fmt::format("rmse      {}\n", number(std::sqrt(figures.loss)));
  if (bytes) text += fmt::format("bits/byte {}\n", number(figures.loss / std::numbers::ln2));
  if (figures.classes) text += fmt::format("accuracy  {:.2f}%\n", 100.0 * figures.classes->accuracy);
  // 256 classes are more than anybody reads: --json has them.
  const std::string table = bytes ? "" : worker::table_of(figures, data.class_names());
  return table.empty() ? text : text + "\n" + table;
}

std::string json_of(const worker::Figures& figures, const std::string& part, const std::string& loss) {
  using Json = nlohmann::ordered_json;
  const auto& classes = figures.classes;
  Json json{{part + "_samples", figures.samples}, {part + "_loss", figures.loss}};
  if (loss == "mse") json[part + "_rmse"] = std::sqrt(figures.loss);
  json[part + "_accuracy"] = classes ? Json(classes->accuracy) : Json();
  json["precision_macro"] = classes ? Json(classes->macro.precision) : Json();
  json["recall_macro"] = classes ? Json(classes->macro.recall) : Json();
  json["f1_macro"] = classes ? Json(classes->macro.f1) : Json();
  if (classes || figures.forecast) json["details"] = worker::details_of(figures);
  return json.dump() + "\n";
}

}  // namespace rubato::exchange
