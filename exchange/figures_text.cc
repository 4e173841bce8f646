#include "exchange/figures_text.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "model/metrics.h"

namespace rubato::exchange {

std::string text_of(const worker::Figures& figures, const data::Dataset& data, const std::string& loss) {
  std::string text = fmt::format("samples   {}\nloss      {:.6g}\n", data.size(), figures.loss);
  if (loss == "mse") text += fmt::format("rmse      {:.6g}\n", std::sqrt(figures.loss));
  if (!figures.classes) return text;
  return text + fmt::format("accuracy  {:.2f}%\n\n", 100.0 * figures.classes->accuracy) +
         model::to_table(*figures.classes, data.class_names());
}

std::string json_of(const worker::Figures& figures, const data::Dataset& data, const std::string& loss) {
  nlohmann::ordered_json json{{"samples", data.size()}, {"loss", figures.loss}};
  if (loss == "mse") json["rmse"] = std::sqrt(figures.loss);
  if (figures.classes) {
    json["accuracy"] = figures.classes->accuracy;
    json["classes"] = model::to_json(*figures.classes);
  }
  return json.dump() + "\n";
}

}  // namespace rubato::exchange
