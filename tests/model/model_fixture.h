// What the tests of models share: weights and gradients in plain vectors, with a record of who was
// called for what; random batches; a small configuration of each network.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "kernels/backend.h"
#include "kernels/initialize.h"
#include "model/model.h"

namespace rubato::model {

inline constexpr std::int32_t kClasses = 4;

class Store final : public WeightSource, public GradientSink {
 public:
  explicit Store(const Model& model, std::uint64_t seed = 1) {
    for (const ParameterSpec& spec : model.parameters()) {
      values.emplace_back(static_cast<std::size_t>(spec.elements()));
      kernels::initialize(spec, seed, 0, values.back());
      gradients.emplace_back(values.back().size(), -7.0f);
    }
  }

  std::span<const float> weights(std::size_t parameter) override {
    calls.push_back("weights " + std::to_string(parameter));
    if (parameter == withheld) return {};
    return values[parameter];
  }
  Version version(std::size_t) override { return version_number; }
  std::span<float> gradient_buffer(std::size_t parameter) override {
    calls.push_back("buffer " + std::to_string(parameter));
    return gradients[parameter];
  }
  void ready(std::size_t parameter) override { calls.push_back("ready " + std::to_string(parameter)); }

  std::vector<std::vector<float>> values, gradients;
  std::vector<std::string> calls;
  Version version_number = 1;
  std::size_t withheld = static_cast<std::size_t>(-1);
};

struct SmallModel {
  std::string title;
  ModelConfig config;
  InputShape shape;
  bool tokens = false;  // inputs are classes, and each of them has a label
};

// Owns what a Batch refers to.
struct OwnedBatch {
  OwnedBatch(std::size_t samples, const SmallModel& small, std::uint64_t first_id = 0)
      : OwnedBatch(samples, small.shape, first_id) {
    if (!small.tokens) return;
    inputs.clear();
    labels.clear();
    for (const std::uint64_t id : ids) {
      RandomStream random(stream_key(3, "tokens", id));
      for (std::int64_t i = 0; i < small.shape.elements(); ++i) {
        inputs.push_back(static_cast<float>(random.below(kClasses)));
        labels.push_back(static_cast<std::int32_t>(random.below(kClasses)));
      }
    }
  }
  OwnedBatch(std::size_t samples, const InputShape& shape, std::uint64_t first_id = 0) {
    for (std::uint64_t id = first_id; id < first_id + samples; ++id) {
      RandomStream random(stream_key(3, "sample", id));
      for (std::int64_t i = 0; i < shape.elements(); ++i) {
        inputs.push_back(static_cast<float>(2.0 * random.next_unit() - 1.0));
      }
      labels.push_back(static_cast<std::int32_t>(random.below(kClasses)));
      ids.push_back(id);
    }
  }
  [[nodiscard]] Batch view(std::uint64_t epoch = 0) const {
    return {.inputs = inputs, .labels = labels, .targets = {}, .sample_ids = ids, .lengths = {}, .epoch = epoch};
  }

  std::vector<float> inputs;
  std::vector<std::int32_t> labels;
  std::vector<std::uint64_t> ids;
};

inline std::vector<SmallModel> small_models() {
  std::vector<SmallModel> models;
  const auto add = [&](std::string title, const InputShape& shape) -> ModelConfig& {
    models.push_back({std::move(title), {}, shape});
    return models.back().config;
  };
  add("logistic", {5, 4, 1}).name = "logistic";
  for (const char* activation : {"relu", "tanh", "sigmoid"}) {
    ModelConfig& mlp = add(std::string("mlp ") + activation, {1, 1, 13});
    mlp.hidden = {11, 7};
    mlp.activation = activation;
    ModelConfig& lenet = add(std::string("lenet5 ") + activation, {28, 28, 1});
    lenet.name = "lenet5";
    lenet.activation = activation;
  }
  ModelConfig& cnn = add("cnn", {13, 12, 3});
  cnn.name = "cnn";
  cnn.channels = {4, 17};
  cnn.dense = 16;
  for (const char* name : {"resnet18", "resnet50"}) {
    ModelConfig& resnet = add(name, {9, 8, 3});
    resnet.name = name;
    resnet.width = 4;
  }
  for (const std::string name : {"lstm", "gru"})
    for (const bool both : {false, true}) {
      ModelConfig& recurrent = add(both ? name + " in both directions" : name, {4, 3, 2});
      recurrent.name = name;
      recurrent.width = 5;
      recurrent.layers = 2;
      recurrent.bidirectional = both;
    }
  ModelConfig& gpt = add("gpt", {6, 1, 1});
  gpt.name = "gpt";
  gpt.width = 8;
  gpt.heads = 2;
  gpt.layers = 2;
  models.back().tokens = true;
  ModelConfig& image = add("layers of an image", {9, 8, 3});
  image.name = "layers";
  image.network = {"conv 6 padding=1 bias=false",
                   "batch_norm relu",
                   "conv 6 padding=1",
                   "group_norm 3",
                   "gelu",
                   "add batch_norm1 relu",
                   "short: conv 8 kernel=1 stride=2",
                   "conv 8 stride=2 padding=1 bias=false from=add1",
                   "batch_norm",
                   "add short",
                   "relu",
                   "average_pool 2",
                   "global_average",
                   "dense 4"};
  ModelConfig& sequence = add("layers of a sequence", {6, 1, 1, 6});
  sequence.name = "layers";
  sequence.network = {
      "embedding 8 rows=4 positions", "layer_norm",          "dense 24 per_position", "attention heads=2",
      "dense 8 per_position",         "add embedding1",      "gru 5 layers=2",        "tanh",
      "lstm 3 bidirectional",         "dense 4 per_position"};
  models.back().tokens = true;
  ModelConfig& smoothed = add("mlp label_smoothing", {1, 1, 9});
  smoothed.hidden = {6};
  smoothed.label_smoothing = 0.2;
  ModelConfig& mse = add("mlp mse", {1, 1, 9});
  mse.hidden = {6};
  mse.loss = "mse";
  ModelConfig& binary = add("mlp binary_cross_entropy", {1, 1, 9});
  binary.hidden = {6};
  binary.loss = "binary_cross_entropy";
  ModelConfig& dropout = add("mlp dropout", {1, 1, 9});
  dropout.hidden = {32};
  dropout.dropout = 0.4;
  return models;
}

class ModelTest : public testing::Test {
 protected:
  static constexpr std::int64_t kSamplesMax = 32;

  [[nodiscard]] Result<std::unique_ptr<Model>> try_make(const ModelConfig& config, const InputShape& shape) {
    return make_model(config, shape, kClasses, *device_, kSamplesMax, 5);
  }
  [[nodiscard]] std::unique_ptr<Model> make(const SmallModel& small) {
    auto made = try_make(small.config, small.shape);
    EXPECT_TRUE(made.ok()) << small.title;
    return std::move(made).value();
  }

  std::unique_ptr<kernels::Device> device_ = kernels::open_device({"cpu", 1}).value();
};

}  // namespace rubato::model
