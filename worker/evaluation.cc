#include "worker/evaluation.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "data/safetensors.h"
#include "data/weights_metadata.h"
#include "worker/figures.h"

namespace rubato::worker {

Status evaluate_on(model::Model& model, const data::Dataset& test, const Job& job, model::WeightSource& weights,
                   const std::string& run_dir, protocol::EvaluationDone& done) {
  RUBATO_ASSIGN(const Figures figures, figures_on(model, test, job, weights));
  done.evaluated = true;
  done.loss = figures.loss;
  done.accuracy = done.precision_macro = done.recall_macro = done.f1_macro = std::nan("");
  if (figures.classes) {  // a model that predicts no classes has no such figures
    const model::ClassificationReport& report = *figures.classes;
    done.accuracy = report.accuracy;
    done.precision_macro = report.macro.precision;
    done.recall_macro = report.macro.recall;
    done.f1_macro = report.macro.f1;
  }
  const std::string table_text = table_of(figures);
  if (table_text.empty()) return {};
  done.details_json = details_of(figures).dump();
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
