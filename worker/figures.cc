#include "worker/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "data/labelled_samples.h"
#include "data/permutation.h"
#include "data/series_dataset.h"
#include "worker/step_runner.h"

namespace rubato::worker {
namespace {

using nlohmann::json;

// In units of what the seasonal-naive forecast comes to over the training part.
std::optional<double> scaled(double error, const data::SeasonalNaive::Target& target) {
  if (target.scale == 0.0 || !std::isfinite(error)) return std::nullopt;
  return error / target.scale;
}

struct ScaledErrors {
  std::vector<std::optional<double>> of_model, of_naive;
  std::optional<double> mean_of_model, mean_of_naive;  // over the targets that have one
};

std::optional<double> mean(std::span<const std::optional<double>> values) {
  double sum = 0.0, there = 0.0;
  for (const std::optional<double>& value : values) {
    sum += value.value_or(0.0);
    there += value ? 1.0 : 0.0;
  }
  return there > 0.0 ? std::optional(sum / there) : std::nullopt;
}

ScaledErrors scaled_errors(const Forecast& forecast) {
  ScaledErrors all;
  for (std::size_t t = 0; t < forecast.errors.size(); ++t) {
    const data::SeasonalNaive::Target& target = forecast.naive->targets[t];
    all.of_model.push_back(scaled(forecast.errors[t], target));
    all.of_naive.push_back(scaled(target.error, target));
  }
  all.mean_of_model = mean(all.of_model);
  all.mean_of_naive = mean(all.of_naive);
  return all;
}

json number(std::optional<double> value) { return value && std::isfinite(*value) ? json(*value) : json(); }

json forecast_json(const Forecast& forecast) {
  const ScaledErrors all = scaled_errors(forecast);
  json targets = json::array();
  for (std::size_t t = 0; t < forecast.errors.size(); ++t) {
    const data::SeasonalNaive::Target& target = forecast.naive->targets[t];
    targets.push_back({{"target", target.name},
                       {"mae", number(forecast.errors[t])},
                       {"mase", number(all.of_model[t])},
                       {"naive_mae", number(target.error)},
                       {"naive_mase", number(all.of_naive[t])},
                       {"scale", number(target.scale)}});
  }
  return {{"samples", forecast.samples},
          {"season", forecast.naive->season},
          {"mase", number(all.mean_of_model)},
          {"naive_mase", number(all.mean_of_naive)},
          {"naive_samples", forecast.naive->windows},
          {"targets", std::move(targets)}};
}

// Six digits, as a model that diverges comes to numbers of any size. A dash for what is none.
std::string number_text(std::optional<double> value) {
  return value && std::isfinite(*value) ? fmt::format("{:.6g}", *value) : "-";
}

std::string forecast_table(const Forecast& forecast) {
  const ScaledErrors all = scaled_errors(forecast);
  std::size_t width = std::string("target").size();
  for (const data::SeasonalNaive::Target& target : forecast.naive->targets) width = std::max(width, target.name.size());
  const auto row = [width](const std::string& name, const std::string& mae, const std::string& mase,
                           const std::string& naive_mae, const std::string& naive_mase) {
    return fmt::format("{:>{}}  {:>11}  {:>11}  {:>11}  {:>11}\n", name, width, mae, mase, naive_mae, naive_mase);
  };
  std::string text = row("target", "mae", "mase", "naive mae", "naive mase");
  for (std::size_t t = 0; t < forecast.errors.size(); ++t) {
    const data::SeasonalNaive::Target& target = forecast.naive->targets[t];
    text += row(target.name, number_text(forecast.errors[t]), number_text(all.of_model[t]), number_text(target.error),
                number_text(all.of_naive[t]));
  }
  if (forecast.errors.size() > 1)
    text += row("mean", "", number_text(all.mean_of_model), "", number_text(all.mean_of_naive));
  const std::int64_t season = forecast.naive->season;
  text += season > 1 ? fmt::format("naive: as {} lines before", season) : std::string("naive: as the last line");
  text += fmt::format("; over {} of {} samples\n", forecast.naive->windows, forecast.samples);
  return text;
}

std::string areas_line(const model::Areas& areas) {
  if (areas.mean)
    return fmt::format("auc  {:.4f}{}\n", *areas.mean,
                       areas.per_class.empty() ? "" : ", one class against the rest, the mean over classes");
  return "auc  -, of one class alone, of scores that are no numbers, or of more than can be ranked\n";
}

// Samples that count: all but those whose labels are all ignored.
std::uint64_t labelled_in(const data::BatchBuffer& batch) {
  const auto samples = static_cast<std::size_t>(batch.count);
  if (batch.labels.empty()) return samples;
  const std::size_t each = batch.labels.size() / samples;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < samples; ++i)
    count += data::has_label(std::span(batch.labels).subspan(i * each, each)) ? 1 : 0;
  return count;
}

// Sums as batches come.
class Collector {
 public:
  Collector(const data::Dataset& data, const Job& job)
      : data_(data),
        confusion_(static_cast<std::size_t>(std::max<std::int64_t>(job.data.classes, 1))),
        classes_(static_cast<std::size_t>(job.data.classes)),
        of_scores_(job.model.loss == "cross_entropy" ? model::RankedScores::Scores::kSoftmax
                                                     : model::RankedScores::Scores::kSeparate) {
    if (const data::SeasonalNaive* naive = data::seasonal_naive_of(data))
      forecast_ = Forecast{naive, data.size(), std::vector<double>(naive->targets.size())};
  }

  void add(const data::BatchBuffer& batch, const model::Evaluation& result) {
    loss_sum_ += result.loss_sum;
    // A machine looks at all of them, labelled or not.
    labelled_ += result.outputs.empty() ? static_cast<std::uint64_t>(result.samples) : labelled_in(batch);
    if (!batch.labels.empty() && !result.predictions.empty()) {
      confusion_.add(batch.labels, result.predictions);
      if (batch.labels.size() == static_cast<std::size_t>(batch.count)) rank(batch.labels, result.outputs);
    }
    if (result.outputs.empty()) forecast_.reset();  // of a machine, which forecasts nothing
    if (forecast_) add_errors(batch.targets, result.outputs);
  }

  [[nodiscard]] Figures figures() const {
    Figures figures{.samples = labelled_,
                    .loss = loss_sum_ / static_cast<double>(std::max<std::uint64_t>(labelled_, 1)),
                    .classes = {},
                    .areas = {},
                    .forecast = forecast_};
    if (confusion_.total() > 0) figures.classes = model::make_report(confusion_);
    if (ranked_ && figures.classes) figures.areas = ranked_->areas();
    if (figures.forecast)
      for (double& error : figures.forecast->errors)
        error /= static_cast<double>(data_.size()) * static_cast<double>(data_.target_floats()) /
                 static_cast<double>(figures.forecast->errors.size());
    return figures;
  }

 private:
  void rank(std::span<const std::int32_t> labels, std::span<const float> outputs) {
    if (!ranked_) ranked_.emplace(classes_, of_scores_, data_.size());
    ranked_->add(labels, outputs);
  }
  void add_errors(std::span<const float> targets, std::span<const float> outputs) {
    std::vector<double>& errors = forecast_->errors;
    for (std::size_t i = 0; i < targets.size(); ++i)
      errors[i % errors.size()] +=
          std::abs(static_cast<double>(outputs[i]) - targets[i]) * data_.target_scale(i % errors.size()).deviation;
  }

  const data::Dataset& data_;
  model::ConfusionMatrix confusion_;
  const std::size_t classes_;
  const model::RankedScores::Scores of_scores_;
  std::optional<model::RankedScores> ranked_;
  std::optional<Forecast> forecast_;
  double loss_sum_ = 0.0;
  std::uint64_t labelled_ = 0;
};

}  // namespace

Result<Figures> figures_on(model::Model& model, const data::Dataset& data, const Job& job, model::WeightSource& weights,
                           data::BatchBuffer& buffer) {
  Collector collector(data, job);
  data::EpochOrder order(data::EpochOrder::Kind::kInOrder, job.train.seed, data.size());
  const auto batch_size = static_cast<std::uint64_t>(job.evaluation.batch);
  for (std::uint64_t first = 0; first < data.size(); first += batch_size) {
    const std::uint64_t count = std::min(batch_size, data.size() - first);
    RUBATO_TRY(data.gather(0, order.of(0).subspan(first, count), buffer));
    const Result<model::Evaluation> result = model.evaluate(model_batch(buffer, 0), weights);
    if (!result.ok()) return blaming(data, result.error());
    collector.add(buffer, *result);
  }
  return collector.figures();
}

std::size_t bytes_of_figures(const Job& job, const data::DatasetSize& data) {
  if (data.target_floats > 0 || data.shape.floats() == 0) return 0;
  const auto classes = static_cast<std::size_t>(job.data.classes);
  // A class's scores as numbers, as a tree of JSON (565 bytes, measured), as its text (157) here and in a message, and
  // in a table.
  constexpr std::size_t kOfAClass = sizeof(model::Score) + 1000;
  // Twice: the report has its own.
  const std::size_t counted = 2 * model::ConfusionMatrix::bytes(classes) + classes * kOfAClass;
  return counted + (job.data.kind != "text" ? model::RankedScores::bytes(classes, data.samples) : 0);
}

Result<std::vector<data::DatasetSize>> evaluated_parts(const Job& job) {
  std::vector<data::DatasetSize> parts;
  if (!job.evaluation.enabled) return parts;
  RUBATO_ASSIGN(parts.emplace_back(), data::size_of_dataset(job, data::evaluated_split(job)));
  if (job.evaluation.holdout > 0.0) {
    RUBATO_ASSIGN(parts.emplace_back(), data::size_of_dataset(job, data::Split::kValidation));
  }
  return parts;
}

std::vector<std::int64_t> evaluated_sizes(const Job& job, std::span<const data::DatasetSize> parts) {
  std::set<std::int64_t, std::greater<>> sizes;
  for (const data::DatasetSize& part : parts) {
    const auto all = static_cast<std::int64_t>(part.samples);
    sizes.insert(std::min(job.evaluation.batch, all));
    sizes.insert(all % job.evaluation.batch);
  }
  sizes.erase(0);
  return {sizes.begin(), sizes.end()};
}

std::string table_of(const Figures& figures, std::span<const std::string> names) {
  if (figures.forecast) return forecast_table(*figures.forecast);
  if (!figures.classes) return "";
  const std::string areas = figures.areas ? areas_line(*figures.areas) + "\n" : "";
  return areas + model::to_table(*figures.classes, names);
}

json details_of(const Figures& figures) {
  if (figures.forecast) return forecast_json(*figures.forecast);
  if (!figures.classes) return {};
  json details = model::to_json(*figures.classes);
  if (!figures.areas) return details;
  details["auc"] = number(figures.areas->mean);
  const std::vector<std::optional<double>>& areas = figures.areas->per_class;
  for (std::size_t c = 0; c < areas.size(); ++c) details["per_class"][c]["auc"] = number(areas[c]);
  return details;
}

}  // namespace rubato::worker
