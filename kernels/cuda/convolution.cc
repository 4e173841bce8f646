// Convolutions: cuDNN's, one plan a call (kernels/cuda/convolution_plan.h); bias, activation and the gradient of either
// are kernels of our own before and behind it.
//
// Weights, bias and their gradients lie on the device, too: weights come by copy where their version is new, gradients
// go by copy, each waited for.
#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "kernels/activation_math.h"
#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/convolution_plan.h"
#include "kernels/cuda/device_parameter.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pointwise.h"

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
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  [[nodiscard]] Result<ConvolutionPlan> plan(const PlanTarget& target, ConvolutionCall call);
  [[nodiscard]] std::size_t parameters() const { return desc_.bias ? 2 : 1; }
  [[nodiscard]] Status launched(cudaError_t error, const char* kernel) const {
    return check(error, "launch of a convolution's {} over {} x {} on stream {}", kernel, results_ / channels_,
                 channels_, context_.stream.name());
  }

  const CudaContext& context_;
  const ConvolutionDesc desc_;
  const bool training_, input_gradient_;
  const std::size_t channels_, results_;
  const bool keeps_sums_;  // what goes into the activation, in `saved`
  OpInfo info_;
  ConvolutionPlan forward_, backward_weights_, backward_data_;
  DeviceParameter weights_, bias_;
  Ports ports_;
  float* sums_ = nullptr;  // where the products' sums go
};

Convolution::Convolution(const CudaContext& context, const ConvolutionDesc& desc, const PlanHint& hint)
    : context_(context),
      desc_(desc),
      training_(hint.training),
      input_gradient_(hint.training && hint.input_gradient),
      channels_(static_cast<std::size_t>(desc.channels)),
      results_(static_cast<std::size_t>(output_shape(desc).elements())),
      keeps_sums_(training_ && slope_needs_input(desc.activation)) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  if (keeps_sums_) info_.saved_bytes = results_ * sizeof(float);
}

Status Convolution::plan() {
  const auto weights = static_cast<std::size_t>(desc_.channels * desc_.kernel * desc_.kernel * desc_.input.channels);
  RUBATO_ASSIGN(weights_, DeviceParameter::allocate(weights, training_));
  RUBATO_ASSIGN(bias_, DeviceParameter::allocate(desc_.bias ? channels_ : 0, training_));
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
  sums_ = keeps_sums_ ? static_cast<float*>(ports.saved) : ports.output;
}

Status Convolution::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < parameters(), "parameter {} of a convolution", index);
  return (index == 0 ? weights_ : bias_).load(context_, values, version);
}

Status Convolution::forward(const SampleKeys&) {
  RUBATO_TRY(forward_.run(context_, {ports_.input, weights_.values(), sums_}, ports_.scratch));
  if (desc_.bias)
    RUBATO_TRY(launched(enqueue_bias(bias_.values(), sums_, channels_, results_, context_.stream.get()), "bias"));
  if (desc_.activation == Activation::kNone) return {};
  return launched(enqueue_activation(desc_.activation, sums_, ports_.output, results_, context_.stream.get()),
                  "activation");
}

Status Convolution::begin_backward() {
  if (desc_.activation == Activation::kNone) return {};
  return launched(enqueue_activation_gradient(desc_.activation, sums_, ports_.output_gradient, ports_.output_gradient,
                                              results_, context_.stream.get()),
                  "activation's gradient");
}

Status Convolution::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == parameters(), "{} gradient buffers of a convolution", gradients.size());
  RUBATO_TRY(
      backward_weights_.run(context_, {ports_.input, weights_.gradient(), ports_.output_gradient}, ports_.scratch));
  if (desc_.bias)
    RUBATO_TRY(launched(enqueue_column_sums(ports_.output_gradient, results_ / channels_, channels_, bias_.gradient(),
                                            context_.stream.get()),
                        "bias gradient"));
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
