// What weights come to, written down.
//
// Thread-safety: pure functions.
#pragma once

#include <string>

#include "base/job.h"
#include "data/dataset.h"
#include "worker/figures.h"

namespace rubato::exchange {

// For people, and for programs: one object. `loss` is the job's.
[[nodiscard]] std::string text_of(const worker::Figures& figures, const data::Dataset& data, const Job& job);
[[nodiscard]] std::string json_of(const worker::Figures& figures, const std::string& loss);

}  // namespace rubato::exchange
