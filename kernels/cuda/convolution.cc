// Convolutions: cuDNN's, one plan a call (kernels/cuda/convolution_plan.h); bias, activation and the gradient of either
// are kernels/cuda/epilogue.h's. Where bfloat16 is multiplied, factors are rounded before, and what cuDNN has summed is
// widened behind it (kernels/cuda/factor.h).
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
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  [[nodiscard]] Result<ConvolutionPlan> plan(const PlanTarget& target, ConvolutionCall call);
  [[nodiscard]] std::size_t parameters() const { return desc_.bias ? 2 : 1; }

  const CudaContext& context_;
  const ConvolutionDesc desc_;
  const bool training_, input_gradient_;
  Epilogue epilogue_;
  Factor input_, output_gradient_;
  NarrowResult sums_, weight_gradient_, input_gradient_sums_;
  OpInfo info_;
  ConvolutionPlan forward_, backward_weights_, backward_data_;
  DeviceParameter weights_, bias_;
  std::size_t library_bytes_ = 0;  // of scratch
  Ports ports_;
};

std::size_t weights_of(const ConvolutionDesc& desc) {
  return static_cast<std::size_t>(desc.channels * desc.kernel * desc.kernel * desc.input.channels);
}

Convolution::Convolution(const CudaContext& context, const ConvolutionDesc& desc, const PlanHint& hint)
    : context_(context),
      desc_(desc),
      training_(hint.training),
      input_gradient_(hint.training && hint.input_gradient),
      epilogue_(context, {.layer = "a convolution",
                          .channels = static_cast<std::size_t>(desc.channels),
                          .results = static_cast<std::size_t>(output_shape(desc).elements()),
                          .activation = desc.activation,
                          .training = training_}),
      input_(context, static_cast<std::size_t>(desc.input.elements())),
      output_gradient_(context, static_cast<std::size_t>(output_shape(desc).elements())),
      sums_(context, static_cast<std::size_t>(output_shape(desc).elements())),
      weight_gradient_(context, weights_of(desc)),
      input_gradient_sums_(context, static_cast<std::size_t>(desc.input.elements())) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  if (training_) info_.saved_bytes = aligned(epilogue_.saved_bytes()) + input_.bytes() + output_gradient_.bytes();
}

Status Convolution::plan() {
  RUBATO_ASSIGN(weights_, DeviceParameter::allocate_factor(context_, weights_of(desc_), training_));
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
  // Behind the library's part, for one call each.
  std::size_t rooms = sums_.bytes() + (training_ ? 0 : input_.bytes());
  if (training_) rooms = std::max(rooms, weight_gradient_.bytes());
  if (input_gradient_) rooms = std::max(rooms, input_gradient_sums_.bytes());
  library_bytes_ = aligned(info_.scratch_bytes);
  if (rooms > 0) info_.scratch_bytes = library_bytes_ + rooms;
  return {};
}

Result<ConvolutionPlan> Convolution::plan(const PlanTarget& target, ConvolutionCall call) {
  auto chosen = ConvolutionPlan::choose(target, desc_, call, {.precision = context_.precision});
  if (!chosen.ok()) return chosen;
  info_.algorithms.push_back({name_of(call), fmt::format("cudnn engine {}", chosen->engine())});
  info_.scratch_bytes = std::max(info_.scratch_bytes, chosen->scratch_bytes());
  return chosen;
}

void Convolution::bind(const Ports& ports) {
  ports_ = ports;
  epilogue_.bind(ports);
  std::byte* const scratch = static_cast<std::byte*>(ports.scratch) + library_bytes_;
  sums_.bind(epilogue_.sums(), scratch);
  if (!training_) return input_.bind(ports.input, scratch + sums_.bytes());
  std::byte* const saved = static_cast<std::byte*>(ports.saved) + aligned(epilogue_.saved_bytes());
  input_.bind(ports.input, saved);
  output_gradient_.bind(ports.output_gradient, saved + input_.bytes());
  weight_gradient_.bind(weights_.gradient(), scratch);
  input_gradient_sums_.bind(ports.input_gradient, scratch);
}

Status Convolution::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < parameters(), "parameter {} of a convolution", index);
  return (index == 0 ? weights_ : bias_).load(context_, values, version);
}

Status Convolution::forward(const SampleKeys&) {
  RUBATO_TRY(input_.round());
  RUBATO_TRY(forward_.run(context_, {input_.data(), weights_.factor(), sums_.data()}, ports_.scratch));
  RUBATO_TRY(sums_.widen());
  if (desc_.bias) RUBATO_TRY(epilogue_.add_bias(bias_.values()));
  return epilogue_.activate();
}

Status Convolution::begin_backward() {
  RUBATO_TRY(epilogue_.undo_activation());
  return output_gradient_.round();
}

Status Convolution::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == parameters(), "{} gradient buffers of a convolution", gradients.size());
  RUBATO_TRY(backward_weights_.run(context_, {input_.data(), weight_gradient_.data(), output_gradient_.data()},
                                   ports_.scratch));
  RUBATO_TRY(weight_gradient_.widen());
  if (desc_.bias) RUBATO_TRY(epilogue_.bias_gradient(bias_.gradient()));
  RUBATO_TRY(weights_.give_gradient(context_, gradients[0]));
  return desc_.bias ? bias_.give_gradient(context_, gradients[1]) : Status{};
}

Status Convolution::backward_data() {
  RUBATO_TRY(backward_data_.run(context_, {input_gradient_sums_.data(), weights_.factor(), output_gradient_.data()},
                                ports_.scratch));
  return input_gradient_sums_.widen();
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const ConvolutionDesc& desc, const PlanHint& hint) {
  return planned<Convolution>(context, desc, hint);
}

}  // namespace rubato::kernels::cuda
