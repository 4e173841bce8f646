// Small networks that have, together, every operation of the CUDA device.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/model/model_fixture.h"

namespace rubato::model {

inline std::vector<SmallModel> networks_on_cuda() {
  SmallModel rows{"layers of rows", {}, {1, 1, 9}}, tokens{"layers of tokens", {}, {6, 1, 1}};
  rows.config.name = tokens.config.name = "layers";
  rows.config.network = {"dense 7", "gelu", "dense 7", "add gelu1 relu", "dropout 0.2", "dense 6 tanh", "dense 4"};
  tokens.config.network = {"embedding 8 rows=4 positions",
                           "layer_norm",
                           "dense 8 per_position",
                           "add embedding1",
                           "global_average",
                           "dense 4"};
  return {rows, tokens};
}

// With a label for each sample, whatever its inputs are.
inline OwnedBatch batch_for(const SmallModel& small, std::size_t samples, std::uint64_t first_id = 0) {
  OwnedBatch batch(samples, small.shape, first_id);
  if (small.title != "layers of tokens") return batch;
  for (float& input : batch.inputs) input = std::floor((input + 1.0f) * 1.999f);  // 0 to 3
  return batch;
}

}  // namespace rubato::model
