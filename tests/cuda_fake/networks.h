// Small networks that have, together, every operation of the CUDA device.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/model_fixture.h"

namespace rubato::model {

inline std::vector<SmallModel> networks_on_cuda() {
  const auto network = [](const char* title, const InputShape& shape, std::vector<std::string> layers) {
    SmallModel small{title, {}, shape};
    small.config.name = "layers";
    small.config.network = std::move(layers);
    return small;
  };
  SmallModel dbn{"dbn", {}, {3, 2, 2}};
  dbn.config.name = "dbn";
  dbn.config.hidden = {9, 5};
  dbn.config.pretrain_epochs = 2;
  return {dbn,
          network("layers of rows", {1, 1, 9},
                  {"dense 7", "gelu", "dense 7", "add gelu1 relu", "dropout 0.2", "dense 6 tanh", "dense 4"}),
          network("layers of tokens", {6, 1, 1},
                  {"embedding 8 rows=4 positions", "layer_norm", "dense 8 per_position", "add embedding1",
                   "global_average", "dense 4"}),
          network("layers of an image", {7, 6, 3},
                  {"dense 5 per_position", "max_pool 2", "group_norm 5", "tanh", "average_pool 2 stride=1", "dense 4"}),
          network("attention", {4, 1, 1},
                  {"embedding 8 rows=4 positions", "dense 24 per_position", "attention heads=2", "dense 8 per_position",
                   "add embedding1", "global_average", "dense 4"}),
          network("layers of an image with convolutions", {7, 6, 3},
                  {"conv 5 padding=1 relu", "max_pool 2", "conv 6 kernel=2 stride=2 padding=1 gelu", "dense 4"}),
          network("recurrent", {4, 1, 3}, {"lstm 5 bidirectional", "gru 4", "dense 4"}),
          network("batch normalization", {4, 3, 3},
                  {"dense 5 per_position", "batch_norm relu", "dense 5 per_position", "batch_norm",
                   "add batch_norm1 relu", "global_average", "dense 4"})};
}

// A store whose memory is pinned, so that copies are beside what is computed.
class PinnedStore {
 public:
  PinnedStore(const Model& model, kernels::Device& device) : store_(model), device_(device) {}
  // Errors: those of Device::pin.
  [[nodiscard]] Status pin() {
    for (auto* all : {&store_.values, &store_.gradients})
      for (std::vector<float>& values : *all) {
        RUBATO_ASSIGN(kernels::Pinned pinned, device_.pin(std::as_writable_bytes(std::span(values))));
        pins_.push_back(std::move(pinned));
      }
    return {};
  }
  Store& operator*() { return store_; }
  Store* operator->() { return &store_; }

 private:
  Store store_;
  kernels::Device& device_;
  std::vector<kernels::Pinned> pins_;
};

inline void PrintTo(const SmallModel& small, std::ostream* out) { *out << small.title; }
inline std::string network_test_name(const testing::TestParamInfo<SmallModel>& info) {
  std::string name = info.param.title;
  std::ranges::replace(name, ' ', '_');
  return name;
}

// With a label for each sample, whatever its inputs are.
inline OwnedBatch batch_for(const SmallModel& small, std::size_t samples, std::uint64_t first_id = 0) {
  if (small.tokens) return {samples, small, first_id};
  OwnedBatch batch(samples, small.shape, first_id);
  if (small.title == "dbn")
    for (float& input : batch.inputs) input = (input + 1.0f) / 2.0f;
  if (small.title != "layers of tokens" && !small.title.starts_with("attention")) return batch;
  for (float& input : batch.inputs) input = std::floor((input + 1.0f) * 1.999f);  // 0 to 3
  return batch;
}

}  // namespace rubato::model
