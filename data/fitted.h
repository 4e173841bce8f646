// What a data set has learned from its training part, and whoever uses the weights later has to know: which columns are
// inputs, how they and the targets are scaled, what classes are called. It is kept with the weights, as text of their
// metadata, so that predictions do not change with whatever lies where the training data once lay.
//
// Thread-safety: a plain value, and pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "data/safetensors.h"
#include "data/scaling.h"

namespace rubato::data {

inline constexpr const char* kFittedKey = "fitted";  // of a weights file's metadata

struct Fitted {
  std::vector<std::string> inputs;  // columns, in the order of a sample's numbers
  Scaling input_scaling, target_scaling;
  std::vector<std::string> classes;  // by their numbers; none where they have no names
  // Of a series, for each target: what forecasts are scaled by (data/seasonal_naive.h).
  std::vector<double> naive_errors;
  friend bool operator==(const Fitted&, const Fitted&) = default;
};

// JSON: {"inputs": ["age"], "input_scaling": {"standard": true, "mean": [41.5], "deviation": [9.25]},
// "target_scaling": {...}, "classes": ["ill", "well"], "naive_errors": []}. Numbers come back as they were, to the bit.
// So do names: one that is no UTF-8 is {"latin1": "caf\u00e9"}, of the letters whose numbers its bytes are.
[[nodiscard]] std::string text_of(const Fitted& fitted);
// Errors: kData, naming `origin`.
[[nodiscard]] Result<Fitted> parse_fitted(const std::string& text, const std::string& origin);

}  // namespace rubato::data
