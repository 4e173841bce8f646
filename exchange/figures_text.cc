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

std::string json_of(const worker::Figures& figures, const std::string& loss) {
  nlohmann::ordered_json json{{"samples", figures.samples}, {"loss", figures.loss}};
  if (loss == "mse") json["rmse"] = std::sqrt(figures.loss);
  if (figures.classes) {
    json["accuracy"] = figures.classes->accuracy;
    json["classes"] = worker::details_of(figures);
  }
  if (figures.forecast) json["forecast"] = worker::details_of(figures);
  return json.dump() + "\n";
}

}  // namespace rubato::exchange
