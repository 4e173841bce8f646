// A model as the training loop sees it: a list of parameters, and the gradient of a loss over one leaf
// (a micro-batch). It knows no servers: weights come from a WeightSource and gradients go into a
// GradientSink, parameter by parameter, so that pulling overlaps forward and pushing overlaps backward.
//
// Invariants: the gradient of a leaf is the *sum* over its samples and overwrites what was in the
// buffer. Equal weights, leaf, device and thread count give equal bits, whatever was computed before and
// wherever (dropout and Gibbs sampling are keyed by sample id), but for chains that go on from step to step.
//
// Thread-safety: a Model and the Device it was made on belong to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/job.h"
#include "base/parameter.h"
#include "base/result.h"
#include "base/timeline.h"
#include "kernels/backend.h"
#include "model/chains.h"

namespace rubato::model {

struct InputShape {
  std::int64_t height = 1, width = 1, channels = 1;
  std::int64_t labels = 1;  // of each sample: as many as it has positions, or one
  bool lengths = false;     // samples end at positions of their own (Batch::lengths)
  [[nodiscard]] std::int64_t elements() const { return height * width * channels; }
};

struct Batch;

// What is probably computed next, for a device that takes its inputs ahead.
class NextBatch {
 public:
  virtual ~NextBatch() = default;
  // Null: it is not there yet, or nobody knows. Never waits. Good until the step at hand is over.
  virtual const Batch* peek() = 0;
};

// One leaf; never empty. Which spans are needed is the model's and the loss's affair:
// cross-entropy wants labels; the other losses take `targets` (samples * outputs), or else labels;
// the quadratic takes neither. Without sample ids there are as many samples as labels; they are needed to train a model
// with dropout.
struct Batch {
  std::span<const float> inputs;         // NHWC
  std::span<const std::int32_t> labels;  // one a sample; or one for each of its positions, or kNoLabel
  std::span<const float> targets;
  std::span<const std::uint64_t> sample_ids;
  std::span<const std::int32_t> lengths;  // of sequences: positions that are there, of each sample; none: all of them
  std::uint64_t epoch = 0;
  std::uint64_t leaf = 0;     // its number in the batch that is cut into leaves
  Chains* chains = nullptr;   // of whoever computes it, where a model keeps some from step to step
  NextBatch* next = nullptr;  // in training; equal sample ids in one epoch mean equal inputs then

  [[nodiscard]] std::size_t samples() const { return sample_ids.empty() ? labels.size() : sample_ids.size(); }
};

struct LeafStats {
  double loss_sum = 0.0;
  std::int64_t samples = 0;
  double correct = 0.0;  // sum over the samples of the share of their labels that were predicted
};

struct Evaluation {
  double loss_sum = 0.0;
  std::int64_t samples = 0;
  double correct = 0.0;  // as above
  // Both are valid until the model's next call.
  std::span<const float> outputs;             // scores before softmax or sigmoid, samples * outputs
  std::span<const std::int32_t> predictions;  // classes, samples * positions
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Called once a step for each parameter, in the model's order, just before its first use; may block
  // until the weights are there. They must stay valid and unchanged until the call into the model
  // returns. An empty span says that they will not come: the step ends with Cause::kInterrupted.
  virtual std::span<const float> weights(std::size_t parameter) = 0;
  // Of what weights() has just given. Equal versions mean equal values, for as long as the model lives:
  // a source that cannot promise it gives a new number each time.
  virtual Version version(std::size_t parameter) = 0;
};

class GradientSink {
 public:
  virtual ~GradientSink() = default;
  // Called for each parameter, in backward_order(), just before its gradient is computed; of layers that are frozen as
  // a whole, never. As many numbers as the parameter has elements.
  virtual std::span<float> gradient_buffer(std::size_t parameter) = 0;
  // The buffer holds the gradient, and the model will not touch it again. Same order.
  virtual void ready(std::size_t parameter) = 0;
};

// What a model takes, beside its parameters, to compute on so many samples at a time.
struct ModelMemory {
  std::size_t activations = 0;  // with their gradients, and what one operation needs while it runs
  std::size_t reordered = 0;    // weights and gradients in layouts that only the backend knows
  std::size_t results = 0;      // what it says of them on the host: predictions, and the scores of an evaluation
};

class Model {
 public:
  virtual ~Model() = default;

  // In the order of forward: that of the manifest, of the weights file and of weights_sha256.
  [[nodiscard]] virtual std::span<const ParameterSpec> parameters() const = 0;
  // The order in which gradients become ready: parameters() backwards.
  [[nodiscard]] std::vector<std::size_t> backward_order() const;
  // Numbers in Evaluation::outputs for each sample; 0 if the model predicts nothing.
  [[nodiscard]] virtual std::int64_t outputs() const = 0;

  // Errors: kData for a batch of the wrong shape or a label out of range; kInterrupted if the weights
  // do not come; kDevice.
  [[nodiscard]] virtual Result<LeafStats> train_leaf(const Batch& batch, WeightSource& source, GradientSink& sink) = 0;
  // Makes what it would make for such a leaf, or evaluation, and says what it took. Errors: kDevice, kMemory.
  [[nodiscard]] virtual Result<ModelMemory> memory_for(std::int64_t /*samples*/, bool /*training*/) {
    return ModelMemory{};
  }
  // From now on what it does in training is drawn there, a span for each layer and pass.
  virtual void draw(timeline::Lane* /*lane*/) {}
  // What evaluate() is about from now on, of a model that is trained for one thing after the other: what this epoch
  // trains it for. At first it is the last.
  virtual void evaluate_as_of(std::uint64_t /*epoch*/) {}
  // Without dropout.
  [[nodiscard]] virtual Result<Evaluation> evaluate(const Batch& batch, WeightSource& source) = 0;
};

// The model that the job names (model/architectures.h says what each is). No leaf, and no batch of an
// evaluation, may be larger than `samples_max`. `seed` keys dropout; `groups` are the job's
// (model/parameter_groups.h), and a quadratic has none. Errors: kUsage for a configuration that makes no model of this
// input.
[[nodiscard]] Result<std::unique_ptr<Model>> make_model(const ModelConfig& config, const InputShape& input,
                                                        std::int64_t classes, kernels::Device& device,
                                                        std::int64_t samples_max, std::uint64_t seed,
                                                        const std::vector<std::string>& groups = {});

}  // namespace rubato::model
