// What an evaluator does with a fixed snapshot: runs the test set through it, and writes the final
// weights.
#pragma once

#include <string>

#include "base/job.h"
#include "data/dataset.h"
#include "model/model.h"
#include "protocol/messages.h"
#include "worker/weight_table.h"

namespace rubato::worker {

// Fills the figures of `done`, and writes the table of them to RUN/evaluation.txt. Errors: those of the
// model; kStorage.
[[nodiscard]] Status evaluate_on(model::Model& model, const data::Dataset& test, const Job& job,
                                 model::WeightSource& weights, const std::string& run_dir,
                                 protocol::EvaluationDone& done);

// Writes RUN/final.safetensors and returns weights_sha256: SHA-256 over the float32 bytes, little-endian, in the
// manifest's order and canonical layouts. `data` is what the model was made for. Errors: kStorage.
[[nodiscard]] Result<std::string> write_weights(const protocol::Manifest& manifest, const WeightTable& table,
                                                const data::DatasetSize& data, const std::string& run_dir);

}  // namespace rubato::worker
