// What a model comes to on a data set, in figures, and how they are written down.
//
// Thread-safety: belongs to one thread; the rest is pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/job.h"
#include "data/dataset.h"
#include "data/seasonal_naive.h"
#include "model/metrics.h"
#include "model/model.h"
#include "model/ranking.h"

namespace rubato::worker {

// Of a series: beside the seasonal-naive forecast, which belongs to the data.
struct Forecast {
  const data::SeasonalNaive* naive = nullptr;
  std::uint64_t samples = 0;
  std::vector<double> errors;  // mean absolute ones of each of its targets, in the file's units
};

struct Figures {
  std::uint64_t samples = 0;  // that count: not those whose labels are all ignored
  double loss = 0.0;          // the mean over them
  // Of classes; not where the model predicts none.
  std::optional<model::ClassificationReport> classes;
  // Of classes, where a sample has one label. Empty ones are of more samples than can be ranked.
  std::optional<model::Areas> areas;
  std::optional<Forecast> forecast;
};

// `buffer` is for its batches: who evaluates again and again keeps the memory. Errors: those of the model.
[[nodiscard]] Result<Figures> figures_on(model::Model& model, const data::Dataset& data, const Job& job,
                                         model::WeightSource& weights, data::BatchBuffer& buffer);
// What that takes beside the model and the data, at most.
[[nodiscard]] std::size_t bytes_of_figures(const Job& job, const data::DatasetSize& data);

// The parts of the data that the job's evaluator computes on: none, the one that it is judged by, and what is held out.
// Errors: kData.
[[nodiscard]] Result<std::vector<data::DatasetSize>> evaluated_parts(const Job& job);
// The sizes of the batches in which it does, the largest first: the last of a part may be short.
[[nodiscard]] std::vector<std::int64_t> evaluated_sizes(const Job& job, std::span<const data::DatasetSize> parts);

// For people: a table of classes or of a series; empty for a model of neither. `names` as for model::to_table.
[[nodiscard]] std::string table_of(const Figures& figures, std::span<const std::string> names = {});
// For programs, what docs/metrics.md calls `details`; null for a model of neither.
[[nodiscard]] nlohmann::json details_of(const Figures& figures);

}  // namespace rubato::worker
