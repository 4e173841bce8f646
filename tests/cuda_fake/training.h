// Twenty steps of training on a device, as tests hold them against the CPU's: the same batch each time, plain descent.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "tests/cuda_fake/networks.h"

namespace rubato::model {

inline constexpr std::size_t kSamples = 12, kSteps = 20;
inline constexpr float kRate = 0.05f;

inline void descend(Store& store) {
  for (std::size_t p = 0; p < store.values.size(); ++p)
    for (std::size_t i = 0; i < store.values[p].size(); ++i)
      store.values[p][i] -= kRate / kSamples * store.gradients[p][i];
  ++store.version_number;
}

inline double loss_of_step(Model& model, const SmallModel& small, Store& store, std::size_t step) {
  const OwnedBatch batch = batch_for(small, kSamples);  // always the same: it can be learned, whatever its labels
  const auto stats = model.train_leaf(batch.view(step), store, store);
  EXPECT_TRUE(stats.ok()) << stats.error().message;
  return stats.ok() ? stats.value().loss_sum / kSamples : std::nan("");
}

// Relative, of all numbers as one vector.
inline double distance(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  double squares = 0.0, differences = 0.0;
  for (std::size_t p = 0; p < a.size(); ++p)
    for (std::size_t i = 0; i < a[p].size(); ++i) {
      const double value = a[p][i], difference = value - static_cast<double>(b[p][i]);
      squares += value * value;
      differences += difference * difference;
    }
  return std::sqrt(differences / squares);
}

inline bool sums_over_batches(const SmallModel& small) {
  return small.title == "batch normalization" || small.title == "resnet18";
}

// Those of the small models that CUDA has every operation of, and the device's own.
inline std::vector<SmallModel> networks(bool over_batches) {
  std::vector<SmallModel> all = networks_on_cuda();
  std::erase_if(all, [](const SmallModel& small) { return small.title == "dbn"; });  // below
  for (const SmallModel& small : small_models())
    if (small.title.starts_with("mlp") || small.title == "logistic" || small.title == "gpt" ||
        small.title == "lenet5 relu" || small.title == "cnn" || small.title == "resnet18" ||
        small.title.starts_with("lstm") || small.title.starts_with("gru"))
      all.push_back(small);
  std::erase_if(all, [&](const SmallModel& small) { return sums_over_batches(small) != over_batches; });
  return all;
}

}  // namespace rubato::model
