// The networks that benches train in one process, on random samples, and the batch that they train on.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "model/architectures.h"
#include "model/model.h"

namespace rubato::bench {

struct LocalCase {
  const char* name;
  ModelConfig config;
  model::InputShape shape;
  std::int32_t classes = 10;
};

// Errors: kUsage, with the names that there are.
[[nodiscard]] Result<LocalCase> find_case(const std::string& name);

// A batch that never changes: its numbers are of no matter, but tokens are classes, each with a label.
struct RandomBatch {
  RandomBatch(const LocalCase& chosen, std::int64_t samples);
  [[nodiscard]] model::Batch view() const {
    return {.inputs = inputs, .labels = labels, .targets = {}, .sample_ids = ids, .lengths = {}, .epoch = 0};
  }

  std::vector<float> inputs;
  std::vector<std::int32_t> labels;
  std::vector<std::uint64_t> ids;
};

}  // namespace rubato::bench
