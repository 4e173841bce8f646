#include "worker/evaluation.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "data/permutation.h"
#include "data/safetensors.h"
#include "data/weights_metadata.h"
#include "model/metrics.h"
#include "worker/step_runner.h"

namespace rubato::worker {

Result<Figures> figures_on(model::Model& model, const data::Dataset& data, const Job& job,
                           model::WeightSource& weights) {
  model::ConfusionMatrix confusion(static_cast<std::size_t>(std::max<std::int64_t>(job.data.classes, 1)));
  data::EpochOrder order(data::EpochOrder::Kind::kInOrder, job.train.seed, data.size());
  data::BatchBuffer buffer;
  double loss_sum = 0.0;
  const auto batch_size = static_cast<std::uint64_t>(job.evaluation.batch);
  for (std::uint64_t first = 0; first < data.size(); first += batch_size) {
    const std::uint64_t count = std::min(batch_size, data.size() - first);
    RUBATO_TRY(data.gather(0, order.of(0).subspan(first, count), buffer));
    RUBATO_ASSIGN(const model::Evaluation result, model.evaluate(model_batch(buffer, 0), weights));
    loss_sum += result.loss_sum;
    if (!buffer.labels.empty() && !result.predictions.empty()) confusion.add(buffer.labels, result.predictions);
  }
  Figures figures{loss_sum / static_cast<double>(std::max<std::uint64_t>(data.size(), 1)), {}};
  if (confusion.total() > 0) figures.classes = model::make_report(confusion);
  return figures;
}

Status evaluate_on(model::Model& model, const data::Dataset& test, const Job& job, model::WeightSource& weights,
                   const std::string& run_dir, protocol::EvaluationDone& done) {
  RUBATO_ASSIGN(const Figures figures, figures_on(model, test, job, weights));
  done.evaluated = true;
  done.loss = figures.loss;
  if (!figures.classes) {  // a model that predicts no classes has no such figures
    done.accuracy = done.precision_macro = done.recall_macro = done.f1_macro = std::nan("");
    return {};
  }
  const model::ClassificationReport& report = *figures.classes;
  done.accuracy = report.accuracy;
  done.precision_macro = report.macro.precision;
  done.recall_macro = report.macro.recall;
  done.f1_macro = report.macro.f1;
  done.details_json = model::to_json(report).dump();
  const std::string table_text = model::to_table(report);
  return write_file(run_dir + "/evaluation.txt", std::as_bytes(std::span(table_text)));
}

Result<std::string> write_weights(const protocol::Manifest& manifest, const WeightTable& table,
                                  const data::DatasetSize& data, const std::string& run_dir) {
  Sha256 hash;
  std::vector<data::TensorView> tensors;
  for (std::size_t p = 0; p < manifest.size(); ++p) {
    hash.update(std::as_bytes(table.parameter(p)));
    tensors.push_back({manifest[p].name, manifest[p].shape, table.parameter(p)});
  }
  data::Metadata metadata{{data::kLayoutKey, data::kChannelsLast}};
  data::describe_samples(data, metadata);
  RUBATO_TRY(data::write_safetensors(run_dir + "/final.safetensors", tensors, metadata));
  return hash.hex();
}

}  // namespace rubato::worker
