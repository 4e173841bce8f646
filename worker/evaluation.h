// What an evaluator does with a fixed snapshot: runs data through it, and writes the weights that are to stay.
#pragma once

#include <string>

#include "base/job.h"
#include "data/dataset.h"
#include "model/model.h"
#include "protocol/messages.h"
#include "worker/weight_table.h"

namespace rubato::worker {

// The figures for a message; the table of them goes to RUN/evaluation.txt. Errors: those of the model; kStorage.
[[nodiscard]] Result<protocol::EvaluationFigures> evaluate_on(model::Model& model, const data::Dataset& data,
                                                              const Job& job, model::WeightSource& weights,
                                                              const std::string& run_dir, data::BatchBuffer& buffer);

// In a run's folder.
inline constexpr const char* kFinalWeights = "final.safetensors";  // the last ones
inline constexpr const char* kBestWeights = "best.safetensors";    // with evaluation.holdout: those that count

// Writes them and returns their hash: SHA-256 over the float32 bytes, little-endian, in the manifest's order and
// canonical layouts. `data` is what the model was made for; `fitted` what its data learned from their training part, or
// null. Errors: kStorage.
[[nodiscard]] Result<std::string> write_weights(const protocol::Manifest& manifest, const WeightTable& table,
                                                const data::DatasetSize& data, const data::Fitted* fitted,
                                                const std::string& path);
// What write_weights has written, slice by slice; the hash comes with it. Errors: kData, kStorage.
struct ReadWeights {
  std::vector<Payload> slices;
  std::string sha256;
};
[[nodiscard]] Result<ReadWeights> read_weights(const protocol::Manifest& manifest,
                                               const protocol::RoutingTable& routing, const std::string& path);

}  // namespace rubato::worker
