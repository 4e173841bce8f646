#include "exchange/described_model.h"

#include "model/architectures.h"
#include "model/parameter_groups.h"
#include "worker/trainer.h"

namespace rubato::exchange {

std::size_t DescribedModel::elements() const {
  std::size_t count = 0;
  for (const model::TorchTensor& tensor : tensors) count += static_cast<std::size_t>(tensor.spec.elements());
  return count;
}

Result<DescribedModel> describe_model(const Job& job, const data::DatasetSize& data) {
  if (job.model.name == "quadratic")
    return Error{Cause::kUsage, "model.name = \"quadratic\" has no layers, and so no weights that others could use"};
  const worker::Trainer::ModelInput input = worker::Trainer::model_input(job, data);
  RUBATO_ASSIGN(const auto loss, model::parse_loss(job.model.loss));
  RUBATO_ASSIGN(auto layers,
                model::build_layers(job.model, input.shape, model::outputs_for(loss, input.classes), job.train.seed));
  RUBATO_TRY(model::grouped_parameters(job.optimizer.groups, layers));  // for its errors: here names are known
  return DescribedModel{model::torch_tensors(layers), model::torch_counters(layers)};
}

}  // namespace rubato::exchange
