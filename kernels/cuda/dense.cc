// Dense layers as products of cuBLASLt: output = input * weights^T with the bias as its epilogue, and ReLU where that
// is the activation; weights' gradient = output gradient^T * input; input gradient = output gradient * weights. Other
// activations, and a bias where cuBLASLt has no algorithm that adds one to the shape, are kernels/cuda/epilogue.h's.
//
// What is multiplied is rounded before, where that is asked for (kernels/cuda/factor.h); sums are float32.
//
// Weights, bias and their gradients lie on the device, too: weights come by copy where their version is new, gradients
// go by copy (kernels/cuda/device_parameter.h).
#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/device_parameter.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/ops.h"

namespace rubato::kernels::cuda {
namespace {

class Dense final : public Op {
 public:
  Dense(const CudaContext& context, const DenseDesc& desc, const PlanHint& hint);
  Status plan();

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  // Its visible bias has a gradient that the host writes.
  [[nodiscard]] std::string_view unrecordable() const override {
    return desc_.visible_bias ? "a layer that was a machine" : std::string_view();
  }
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  Status plan_forward();
  void note(const char* call, const MatrixProduct& product);

  const CudaContext& context_;
  const DenseDesc desc_;
  const bool training_, input_gradient_;
  const std::size_t inputs_, units_, rows_;
  Epilogue epilogue_;
  Factor input_, output_gradient_;
  OpInfo info_;
  MatrixProduct forward_, backward_weights_, backward_data_;
  DeviceParameter weights_, bias_;
  Ports ports_;
};

std::size_t inputs_of(const DenseDesc& desc) {
  return static_cast<std::size_t>(desc.per_position ? desc.input.channels : desc.input.elements_per_sample());
}

Dense::Dense(const CudaContext& context, const DenseDesc& desc, const PlanHint& hint)
    : context_(context),
      desc_(desc),
      training_(hint.training),
      input_gradient_(hint.training && hint.input_gradient),
      inputs_(inputs_of(desc)),
      units_(static_cast<std::size_t>(desc.units)),
      rows_(static_cast<std::size_t>(desc.input.elements()) / inputs_),
      epilogue_(context, {.layer = "a dense layer",
                          .channels = units_,
                          .results = rows_ * units_,
                          .activation = desc.activation,
                          .training = training_}),
      input_(context, rows_ * inputs_),
      output_gradient_(context, rows_ * units_) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  if (training_) info_.saved_bytes = aligned(epilogue_.saved_bytes()) + input_.bytes() + output_gradient_.bytes();
}

Status Dense::plan() {
  RUBATO_ASSIGN(weights_, DeviceParameter::allocate_factor(context_, units_ * inputs_, training_));
  RUBATO_ASSIGN(bias_, DeviceParameter::allocate(units_, training_));
  info_.private_bytes = weights_.bytes() + bias_.bytes();
  RUBATO_TRY(plan_forward());
  const auto rows = static_cast<std::int64_t>(rows_), inputs = static_cast<std::int64_t>(inputs_);
  if (training_) {
    RUBATO_ASSIGN(backward_weights_, MatrixProduct::plan(context_.lt, {.rows = desc_.units,
                                                                       .columns = inputs,
                                                                       .inner = rows,
                                                                       .left_transposed = true,
                                                                       .precision = context_.precision}));
    note("backward_weights", backward_weights_);
  }
  if (input_gradient_) {
    RUBATO_ASSIGN(
        backward_data_,
        MatrixProduct::plan(context_.lt,
                            {.rows = rows, .columns = inputs, .inner = desc_.units, .precision = context_.precision}));
    note("backward_data", backward_data_);
  }
  if (!training_ && input_.bytes() > 0) info_.scratch_bytes = aligned(info_.scratch_bytes) + input_.bytes();
  return {};
}

Status Dense::plan_forward() {
  ProductDesc product{.rows = static_cast<std::int64_t>(rows_),
                      .columns = desc_.units,
                      .inner = static_cast<std::int64_t>(inputs_),
                      .right_transposed = true,
                      .bias = bias_.values(),
                      .relu = desc_.activation == Activation::kRelu,
                      .precision = context_.precision};
  RUBATO_ASSIGN(forward_, MatrixProduct::plan(context_.lt, product));
  if (!forward_.has_algorithm()) {
    product.bias = nullptr;
    RUBATO_ASSIGN(forward_, MatrixProduct::plan(context_.lt, product));
    info_.algorithms.push_back({"bias", "kernel"});
  }
  note("forward", forward_);
  return {};
}

void Dense::note(const char* call, const MatrixProduct& product) {
  info_.algorithms.push_back({call, "cublasLt"});
  info_.scratch_bytes = std::max(info_.scratch_bytes, product.scratch_bytes());
}

// Rooms of what is rounded are kept until backward, or, in evaluation, in scratch behind the library's.
void Dense::bind(const Ports& ports) {
  ports_ = ports;
  epilogue_.bind(ports);
  if (!training_) {
    input_.bind(ports.input, static_cast<std::byte*>(ports.scratch) + info_.scratch_bytes - input_.bytes());
    return;
  }
  std::byte* const room = static_cast<std::byte*>(ports.saved) + aligned(epilogue_.saved_bytes());
  input_.bind(ports.input, room);
  output_gradient_.bind(ports.output_gradient, room + input_.bytes());
}

Status Dense::load(std::size_t index, std::span<const float> values, Version version) {
  if (index == 2 && desc_.visible_bias && values.size() == inputs_) return {};
  RUBATO_CHECK(index < 2, "parameter {} of a dense layer", index);
  return (index == 0 ? weights_ : bias_).load(context_, values, version);
}

Status Dense::forward(const SampleKeys&) {
  RUBATO_TRY(input_.round());
  RUBATO_TRY(
      forward_.run(context_.lt, input_.data(), weights_.factor(), epilogue_.sums(), ports_.scratch, context_.stream));
  const bool fused = forward_.adds_bias(), activated = fused && desc_.activation == Activation::kRelu;
  if (!fused) RUBATO_TRY(epilogue_.add_bias(bias_.values()));
  return activated ? Status{} : epilogue_.activate();
}

Status Dense::begin_backward() {
  RUBATO_TRY(epilogue_.undo_activation());
  return output_gradient_.round();
}

Status Dense::backward_weights(std::span<const std::span<float>> gradients) {
  if (desc_.visible_bias) std::ranges::fill(gradients.back(), 0.0f);
  RUBATO_CHECK(gradients.size() == (desc_.visible_bias ? 3 : 2), "{} gradient buffers of a dense layer",
               gradients.size());
  RUBATO_TRY(backward_weights_.run(context_.lt, output_gradient_.data(), input_.data(), weights_.gradient(),
                                   ports_.scratch, context_.stream));
  RUBATO_TRY(epilogue_.bias_gradient(bias_.gradient()));
  RUBATO_TRY(weights_.give_gradient(context_, gradients[0]));
  return bias_.give_gradient(context_, gradients[1]);
}

Status Dense::backward_data() {
  return backward_data_.run(context_.lt, output_gradient_.data(), weights_.factor(), ports_.input_gradient,
                            ports_.scratch, context_.stream);
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const DenseDesc& desc, const PlanHint& hint) {
  return planned<Dense>(context, desc, hint);
}

}  // namespace rubato::kernels::cuda
