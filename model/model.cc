#include "model/model.h"

#include <fmt/format.h>

#include <utility>

#include "base/pretraining.h"
#include "model/architectures.h"
#include "model/dbn.h"
#include "model/network.h"
#include "model/parameter_groups.h"
#include "model/quadratic.h"

namespace rubato::model {

std::vector<std::size_t> Model::backward_order() const {
  std::vector<std::size_t> order;
  for (std::size_t i = parameters().size(); i-- > 0;) order.push_back(i);
  return order;
}

Result<std::unique_ptr<Model>> make_model(const ModelConfig& config, const InputShape& input, std::int64_t classes,
                                          kernels::Device& device, std::int64_t samples_max, std::uint64_t seed,
                                          const std::vector<std::string>& groups) {
  RUBATO_CHECK(samples_max > 0, "leaves of at most {} samples", samples_max);
  if (config.name == "quadratic") {
    if (config.size < 1 || input.elements() != config.size) {
      return Error{Cause::kUsage, fmt::format("model.size = {}, and samples of {} numbers: a quadratic has one weight "
                                              "for each number of a sample",
                                              config.size, input.elements())};
    }
    return std::unique_ptr<Model>(std::make_unique<Quadratic>(config.size, samples_max));
  }
  RUBATO_ASSIGN(const kernels::LossDesc::Kind loss, parse_loss(config.loss));
  RUBATO_ASSIGN(std::vector<Layer> layers, build_layers(config, input, outputs_for(loss, classes), seed));
  RUBATO_ASSIGN(std::vector<ParameterSpec> parameters, grouped_parameters(groups, layers));
  const kernels::LossDesc desc{
      .kind = loss, .smoothing = config.label_smoothing, .class_weights = config.class_weights};
  if (pretraining_epochs(config) > 0)
    return std::unique_ptr<Model>(
        std::make_unique<Dbn>(device, std::move(layers), std::move(parameters), desc, samples_max, config, seed));
  return std::unique_ptr<Model>(
      std::make_unique<Network>(device, std::move(layers), std::move(parameters), desc, samples_max));
}

}  // namespace rubato::model
