// A model with given weights on a data set, without servers.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "data/dataset.h"
#include "exchange/subject.h"
#include "kernels/backend.h"
#include "model/model.h"
#include "worker/evaluation.h"

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
    explicit Weights(const Subject& subject);
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

// The part of the job's data that is asked for ("" is evaluation.part), or with `inputs` and `labels` other files in
// place of the test part's. Errors: kUsage, kData.
struct DataChoice {
  std::string part, inputs, labels;
};
struct ChosenData {
  std::unique_ptr<data::Dataset> data;
  std::string name;  // "test part of the job's data"
};
[[nodiscard]] Result<ChosenData> open_data(const Job& job, const DataChoice& choice);

// For people, and for programs: one object. `loss` is the job's.
[[nodiscard]] std::string text_of(const worker::Figures& figures, const data::Dataset& data, const std::string& loss);
[[nodiscard]] std::string json_of(const worker::Figures& figures, const data::Dataset& data, const std::string& loss);

}  // namespace rubato::exchange
