// A model with given weights on a data set, without servers.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "exchange/subject.h"
#include "kernels/backend.h"
#include "model/model.h"
#include "worker/figures.h"

namespace rubato::exchange {

// Computes with a subject's weights. The subject outlives it.
class Evaluator {
 public:
  // Errors: kDevice, kUsage.
  [[nodiscard]] static Result<std::unique_ptr<Evaluator>> open(const Subject& subject);

  // Errors: kData, if samples are not of the shape that the model was made for.
  [[nodiscard]] Result<worker::Figures> figures_on(const data::Dataset& data);
  // Of one batch, of at most evaluation.batch samples; valid until the next call.
  [[nodiscard]] Result<model::Evaluation> run(const data::BatchBuffer& batch);

  [[nodiscard]] std::int64_t outputs() const { return model_->outputs(); }
  [[nodiscard]] Status check_shape(const data::Dataset& data) const;

 private:
  // All of it is there at once, and never changes.
  class Weights final : public model::WeightSource {
   public:
    explicit Weights(const Subject& subject) : parameters_(subject.model.parts(std::span(subject.weights))) {}
    std::span<const float> weights(std::size_t parameter) override { return parameters_[parameter]; }
    Version version(std::size_t /*parameter*/) override { return 1; }

   private:
    std::vector<std::span<const float>> parameters_;
  };

  explicit Evaluator(const Subject& subject) : subject_(subject), weights_(subject) {}

  const Subject& subject_;
  Weights weights_;
  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<model::Model> model_;
};

}  // namespace rubato::exchange
