// Convolutions: cuDNN's, one plan a call (kernels/cuda/convolution_plan.h); bias, activation and the gradient of either
// are kernels/cuda/epilogue.h's.
//
// Weights, bias and their gradients lie on the device, too: weights come by copy where their version is new, gradients
// go by copy (kernels/cuda/device_parameter.h).
#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/convolution_plan.h"
#include "kernels/cuda/device_parameter.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/ops.h"

namespace rubato::kernels::cuda {
namespace {

class Convolution final : public Op {
 public:
  Convolution(const CudaContext& context, const ConvolutionDesc& desc, const PlanHint& hint);
  Status plan();

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return epilogue_.undo_activation(); }
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  [[nodiscard]] Result<ConvolutionPlan> plan(const PlanTarget& target, ConvolutionCall call);
  [[nodiscard]] std::size_t parameters() const { return desc_.bias ? 2 : 1; }

  const CudaContext& context_;
  const ConvolutionDesc desc_;
  const bool training_, input_gradient_;
  Epilogue epilogue_;
  OpInfo info_;
  ConvolutionPlan forward_, backward_weights_, backward_data_;
  DeviceParameter weights_, bias_;
  Ports ports_;
};

Convolution::Convolution(const CudaContext& context, const ConvolutionDesc& desc, const PlanHint& hint)
    : context_(context),
      desc_(desc),
      training_(hint.training),
      input_gradient_(hint.training && hint.input_gradient),
      epilogue_(context, {.layer = "a convolution",
                          .channels = static_cast<std::size_t>(desc.channels),
                          .results = static_cast<std::size_t>(output_shape(desc).elements()),
                          .activation = desc.activation,
                          .training = training_}) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  info_.saved_bytes = epilogue_.saved_bytes();
}

Status Convolution::plan() {
  const auto weights = static_cast<std::size_t>(desc_.channels * desc_.kernel * desc_.kernel * desc_.input.channels);
  RUBATO_ASSIGN(weights_, DeviceParameter::allocate(weights, training_));
  RUBATO_ASSIGN(bias_, DeviceParameter::allocate(desc_.bias ? static_cast<std::size_t>(desc_.channels) : 0, training_));
  info_.private_bytes = weights_.bytes() + bias_.bytes();
  RUBATO_ASSIGN(const cudnnHandle_t handle, context_.cudnn_handle());
  const PlanTarget target{.handle = handle};
  RUBATO_ASSIGN(forward_, plan(target, ConvolutionCall::kForward));
  if (training_) {
    RUBATO_ASSIGN(backward_weights_, plan(target, ConvolutionCall::kBackwardWeights));
  }
  if (input_gradient_) {
    RUBATO_ASSIGN(backward_data_, plan(target, ConvolutionCall::kBackwardData));
  }
  return {};
}

Result<ConvolutionPlan> Convolution::plan(const PlanTarget& target, ConvolutionCall call) {
  auto chosen = ConvolutionPlan::choose(target, desc_, call, {.tf32 = context_.tf32});
  if (!chosen.ok()) return chosen;
  info_.algorithms.push_back({name_of(call), fmt::format("cudnn engine {}", chosen->engine())});
  info_.scratch_bytes = std::max(info_.scratch_bytes, chosen->scratch_bytes());
  return chosen;
}

void Convolution::bind(const Ports& ports) {
  ports_ = ports;
  epilogue_.bind(ports);
}

Status Convolution::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < parameters(), "parameter {} of a convolution", index);
  return (index == 0 ? weights_ : bias_).load(context_, values, version);
}

Status Convolution::forward(const SampleKeys&) {
  RUBATO_TRY(forward_.run(context_, {ports_.input, weights_.values(), epilogue_.sums()}, ports_.scratch));
  if (desc_.bias) RUBATO_TRY(epilogue_.add_bias(bias_.values()));
  return epilogue_.activate();
}

Status Convolution::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == parameters(), "{} gradient buffers of a convolution", gradients.size());
  RUBATO_TRY(
      backward_weights_.run(context_, {ports_.input, weights_.gradient(), ports_.output_gradient}, ports_.scratch));
  if (desc_.bias) RUBATO_TRY(epilogue_.bias_gradient(bias_.gradient()));
  RUBATO_TRY(weights_.give_gradient(context_, gradients[0]));
  return desc_.bias ? bias_.give_gradient(context_, gradients[1]) : Status{};
}

Status Convolution::backward_data() {
  return backward_data_.run(context_, {ports_.input_gradient, weights_.values(), ports_.output_gradient},
                            ports_.scratch);
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const ConvolutionDesc& desc, const PlanHint& hint) {
  return planned<Convolution>(context, desc, hint);
}

}  // namespace rubato::kernels::cuda
