#include "worker/evaluation.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "data/fitted.h"
#include "data/safetensors.h"
#include "data/weights_metadata.h"
#include "worker/figures.h"

namespace rubato::worker {

Result<protocol::EvaluationFigures> evaluate_on(model::Model& model, const data::Dataset& data, const Job& job,
                                                model::WeightSource& weights, const std::string& run_dir,
                                                data::BatchBuffer& buffer) {
  RUBATO_ASSIGN(const Figures figures, figures_on(model, data, job, weights, buffer));
  protocol::EvaluationFigures done;
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
  const std::string table_text = table_of(figures, data.class_names());
  if (table_text.empty()) return done;
  done.details_json = details_of(figures).dump();
  RUBATO_TRY(write_file(run_dir + "/evaluation.txt", std::as_bytes(std::span(table_text))));
  return done;
}

Result<std::string> write_weights(const protocol::Manifest& manifest, const WeightTable& table,
                                  const data::DatasetSize& data, const data::Fitted* fitted, const std::string& path) {
  Sha256 hash;
  std::vector<data::TensorView> tensors;
  for (std::size_t p = 0; p < manifest.size(); ++p) {
    hash.update(std::as_bytes(table.parameter(p)));
    tensors.push_back({manifest[p].name, manifest[p].shape, table.parameter(p)});
  }
  data::Metadata metadata{{data::kLayoutKey, data::kChannelsLast}};
  data::describe_samples(data, metadata);
  if (fitted != nullptr) metadata[data::kFittedKey] = data::text_of(*fitted);
  RUBATO_TRY(data::write_safetensors(path, tensors, metadata));
  return hash.hex();
}

Result<ReadWeights> read_weights(const protocol::Manifest& manifest, const protocol::RoutingTable& routing,
                                 const std::string& path) {
  RUBATO_ASSIGN(const data::TensorFile file, data::read_safetensors(path));
  Sha256 hash;
  bool fits = file.tensors.size() == manifest.size();
  for (std::size_t p = 0; fits && p < manifest.size(); ++p) {
    const data::Tensor& tensor = file.tensors[p];
    fits = tensor.name == manifest[p].name && tensor.shape == manifest[p].shape && tensor.of_floats();
    hash.update(std::as_bytes(std::span(tensor.values)));
  }
  if (!fits) return Error{Cause::kData, path + ": expected the weights that this job has written, found others"};
  ReadWeights read{.slices = {}, .sha256 = hash.hex()};
  for (const protocol::SliceSpec& slice : routing.slices) {
    std::vector<float> values;
    for (const protocol::Piece& piece : slice.pieces) {
      const auto all = std::span(file.tensors[piece.parameter].values).subspan(piece.first, piece.count);
      values.insert(values.end(), all.begin(), all.end());
    }
    read.slices.push_back(Payload::of_floats(values));
  }
  return read;
}

}  // namespace rubato::worker
