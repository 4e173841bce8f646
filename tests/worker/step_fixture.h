// What the tests of the compute side share: samples made from their numbers, weights in a vector, a model
// whose gradients are arbitrary floats, and a runner with all that it needs, whose reports are kept.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/partition.h"
#include "base/rng.h"
#include "kernels/backend.h"
#include "worker/step_runner.h"

namespace rubato::worker {

// Sample i has inputs in [-1, 1) and label i mod 4; with `lengths` i mod its height and one more of its rows are there.
class NumberedDataset final : public data::Dataset {
 public:
  NumberedDataset(std::uint64_t samples, const data::SampleShape& shape, bool lengths)
      : size_(samples), shape_(shape), lengths_(lengths) {}

  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] data::SampleShape shape() const override { return shape_; }
  [[nodiscard]] std::int64_t target_floats() const override { return 0; }
  [[nodiscard]] const std::string& fingerprint() const override { return fingerprint_; }
  [[nodiscard]] std::string file() const override { return "numbers.npy"; }
  Status gather(std::uint64_t /*epoch*/, std::span<const std::uint64_t> ids, data::BatchBuffer& batch) const override {
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.clear();
    batch.labels.clear();
    batch.lengths.clear();
    batch.sample_ids.assign(ids.begin(), ids.end());
    for (const std::uint64_t id : ids) {
      RandomStream random(stream_key(11, "sample", id));
      for (std::int64_t i = 0; i < shape_.floats(); ++i)
        batch.inputs.push_back(2.0f * unit_float(random.next_u32()) - 1.0f);
      batch.labels.push_back(static_cast<std::int32_t>(id % 4));
      if (lengths_)
        batch.lengths.push_back(static_cast<std::int32_t>(static_cast<std::int64_t>(id) % shape_.height) + 1);
    }
    return {};
  }

 private:
  const std::uint64_t size_;
  const data::SampleShape shape_;
  const bool lengths_;
  const std::string fingerprint_ = "numbered";
};

// All weights are there, unless they are withheld.
class VectorWeights final : public model::WeightSource {
 public:
  explicit VectorWeights(std::span<const ParameterSpec> parameters) {
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      RandomStream random(stream_key(12, "weights", p));
      values.emplace_back(static_cast<std::size_t>(parameters[p].elements()));
      for (float& value : values.back()) value = 0.5f * unit_float(random.next_u32()) - 0.25f;
    }
  }
  std::span<const float> weights(std::size_t parameter) override {
    asked.push_back(parameter);
    return parameter == withheld ? std::span<const float>() : values[parameter];
  }
  Version version(std::size_t) override { return 1; }

  std::vector<std::vector<float>> values;
  std::vector<std::size_t> asked;
  std::size_t withheld = static_cast<std::size_t>(-1);
};

// Gradients whose sums depend on the order of adding: each element of each sample is a float of any
// magnitude and sign, a pure function of (sample, parameter, element).
class ArbitraryModel final : public model::Model {
 public:
  explicit ArbitraryModel(const std::vector<std::int64_t>& sizes) {
    for (std::size_t p = 0; p < sizes.size(); ++p) {
      ParameterSpec spec;
      spec.name = fmt::format("p{}", p);
      spec.shape = {sizes[p]};
      parameters_.push_back(spec);
    }
  }

  [[nodiscard]] std::span<const ParameterSpec> parameters() const override { return parameters_; }
  // Before a runner is made of it.
  [[nodiscard]] ParameterSpec& spec(std::size_t parameter) { return parameters_[parameter]; }
  [[nodiscard]] std::int64_t outputs() const override { return 0; }
  [[nodiscard]] Result<model::LeafStats> train_leaf(const model::Batch& batch, model::WeightSource& source,
                                                    model::GradientSink& sink) override {
    for (std::size_t p = 0; p < parameters_.size(); ++p)
      if (source.weights(p).empty()) return Error{Cause::kInterrupted, "no weights"};
    RUBATO_TRY(trouble);
    on_leaf();
    for (std::size_t p = parameters_.size(); p-- > 0;) {
      const std::span<float> gradient = sink.gradient_buffer(p);
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] = 0.0f;
        for (const std::uint64_t id : batch.sample_ids) gradient[i] += element(id, p, i);
      }
      sink.ready(p);
      on_ready(p);
    }
    return model::LeafStats{0.5 * static_cast<double>(batch.samples()), static_cast<std::int64_t>(batch.samples()), 1};
  }
  [[nodiscard]] Result<model::Evaluation> evaluate(const model::Batch&, model::WeightSource&) override {
    return Error{Cause::kInternal, "this model only trains"};
  }

  Status trouble;  // of each leaf
  std::function<void()> on_leaf = [] {};
  std::function<void(std::size_t)> on_ready = [](std::size_t) {};  // of a parameter's gradient

 private:
  static float element(std::uint64_t id, std::size_t parameter, std::size_t index) {
    const PhiloxBlock bits = philox4x32(stream_key(13, "gradient", parameter), id, index);
    return std::ldexp(unit_float(bits[0]) - 0.5f, static_cast<int>(bits[1] % 41) - 20);
  }

  std::vector<ParameterSpec> parameters_;
};

inline std::vector<std::uint32_t> bits_of(std::span<const float> floats) {
  std::vector<std::uint32_t> bits;
  for (const float value : floats) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

// A gradient in plain vectors, by parameter.
using Gradient = std::vector<std::vector<float>>;

class VectorSink final : public model::GradientSink {
 public:
  explicit VectorSink(std::span<const ParameterSpec> parameters) {
    for (const ParameterSpec& spec : parameters) gradient.emplace_back(static_cast<std::size_t>(spec.elements()));
  }
  std::span<float> gradient_buffer(std::size_t parameter) override { return gradient[parameter]; }
  void ready(std::size_t) override {}
  Gradient gradient;
};

// A step of clock 0 over the positions [first, first + count) of epoch 0.
inline protocol::StepGrant step_of(std::uint64_t first, std::uint64_t count, std::uint32_t leaves,
                                   protocol::LeafNodes nodes, Clock clock = 0) {
  protocol::StepGrant step;
  step.clock = clock;
  step.batch = {0, first, count};
  step.leaves = leaves;
  step.nodes = std::move(nodes);
  return step;
}

struct RunnerOptions {
  std::uint64_t samples = 64;
  data::SampleShape shape{1, 1, 1};
  std::uint64_t slice_bytes = 64;
  Job job{};
  bool lengths = false;
  std::shared_ptr<Memory> memory = nullptr;  // where gradients are to lie
  kernels::Device* device = nullptr;         // for which they are pinned
};

// A runner over a model of the test's.
class Runner {
 public:
  explicit Runner(model::Model& model_of_test, const RunnerOptions& options = {})
      : model(model_of_test),
        dataset(options.samples, options.shape, options.lengths),
        order(data::EpochOrder::Kind::kShuffled, 7, options.samples),
        loader(dataset, data::EpochOrder::Kind::kShuffled, 7),
        manifest(model.parameters().begin(), model.parameters().end()),
        routing{1, protocol::cut_slices(manifest, options.slice_bytes, 2), {"a", "b"}},
        layout(manifest, routing),
        weights(manifest),
        runner(options.job, model, loader, layout, options.memory, options.device) {}

  // Reports of the call alone.
  [[nodiscard]] Result<StepComputed> run(const protocol::StepGrant& step) {
    reports.clear();
    return runner.run(ComputeStep{step, {}, false}, weights,
                      [&](ComputeReport report) { reports.push_back(std::get<SliceGradient>(std::move(report))); });
  }

  // What the model gives for the samples of one leaf, computed apart.
  [[nodiscard]] Gradient leaf_gradient(const protocol::StepGrant& step, std::uint64_t leaf) {
    const Part part = leaf_of_batch({step.batch.first, step.batch.count}, step.leaves, leaf);
    data::BatchBuffer buffer;
    EXPECT_TRUE(
        dataset.gather(step.batch.epoch, order.of(step.batch.epoch).subspan(part.first, part.count), buffer).ok());
    VectorSink sink(model.parameters());
    EXPECT_TRUE(model.train_leaf(model_batch(buffer, step.batch.epoch), weights, sink).ok());
    return sink.gradient;
  }

  // The floats of a slice, from a gradient by parameter.
  [[nodiscard]] std::vector<float> slice_of(const Gradient& gradient, SliceId slice) const {
    std::vector<float> floats;
    for (const protocol::Piece& piece : routing.slices[slice].pieces) {
      const auto first = gradient[piece.parameter].begin() + static_cast<std::ptrdiff_t>(piece.first);
      floats.insert(floats.end(), first, first + static_cast<std::ptrdiff_t>(piece.count));
    }
    return floats;
  }

  model::Model& model;
  NumberedDataset dataset;
  data::EpochOrder order;
  data::Loader loader;
  protocol::Manifest manifest;
  protocol::RoutingTable routing;
  SliceLayout layout;
  VectorWeights weights;
  StepRunner runner;
  std::vector<SliceGradient> reports;
};

}  // namespace rubato::worker
