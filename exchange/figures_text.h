// What weights come to, written down.
//
// Thread-safety: pure functions.
#pragma once

#include <string>

#include "base/job.h"
#include "data/dataset.h"
#include "worker/figures.h"

namespace rubato::exchange {

// For people.
[[nodiscard]] std::string text_of(const worker::Figures& figures, const data::Dataset& data, const Job& job);
// For programs: one object, of the names that metrics.jsonl has for them (docs/metrics.md). `part` is that of the data,
// `loss` the job's.
[[nodiscard]] std::string json_of(const worker::Figures& figures, const std::string& part, const std::string& loss);

}  // namespace rubato::exchange
