#include "exchange/figures_text.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace rubato::exchange {

std::string text_of(const worker::Figures& figures, const data::Dataset& data, const std::string& loss) {
  std::string text = fmt::format("samples   {}\nloss      {:.6g}\n", data.size(), figures.loss);
  if (loss == "mse") text += fmt::format("rmse      {:.6g}\n", std::sqrt(figures.loss));
  if (figures.classes) text += fmt::format("accuracy  {:.2f}%\n", 100.0 * figures.classes->accuracy);
  const std::string table = worker::table_of(figures, data.class_names());
  return table.empty() ? text : text + "\n" + table;
}

std::string json_of(const worker::Figures& figures, const data::Dataset& data, const std::string& loss) {
  nlohmann::ordered_json json{{"samples", data.size()}, {"loss", figures.loss}};
  if (loss == "mse") json["rmse"] = std::sqrt(figures.loss);
  if (figures.classes) {
    json["accuracy"] = figures.classes->accuracy;
    json["classes"] = worker::details_of(figures);
  }
  if (figures.forecast) json["forecast"] = worker::details_of(figures);
  return json.dump() + "\n";
}

}  // namespace rubato::exchange
