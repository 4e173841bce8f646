// Dense layers as oneDNN inner products on *plain* weights. The blocked weights that oneDNN would choose
// (`format any`, brgemm) run a little faster, but the reorders in and out cost more than they save: at
// 1024 x 1024 and batch 128 forward, backward-data and backward-weights take 2.9 ms, their three reorders
// 1.1; on plain weights (gemm) all takes 3.2. Plain weights are also read in place and gradients written
// in place. Of bfloat16 there is a copy in any case, and it lies as oneDNN likes it.
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu/activation.h"
#include "kernels/cpu/converting_primitive.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/packed_weights.h"

namespace rubato::kernels {
namespace {

using dnnl::memory;

class Dense final : public Op {
 public:
  Dense(const CpuContext& context, const DenseDesc& desc, const PlanHint& hint);

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return activation_.backward(); }
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  using ForwardPlan = dnnl::inner_product_forward::primitive_desc;

  [[nodiscard]] ForwardPlan plan_forward(const CpuContext& context, Activation activation);
  void plan_backward_weights(const CpuContext& context, const ForwardPlan& forward);
  void plan_backward_data(const CpuContext& context, const ForwardPlan& forward);
  void note(const char* call, const char* implementation, std::size_t scratch_bytes, std::size_t private_bytes);

  const std::size_t weights_size_, bias_size_, visible_size_;  // the last: 0 without a visible bias
  const bool training_, input_gradient_;
  OpInfo info_;
  memory::desc source_, weights_, bias_, result_;  // as others see them
  // What is multiplied, and the gradient of the weights: the same, or bfloat16 and as oneDNN likes it.
  memory::desc source_factor_, weights_factor_, result_factor_, weights_sums_;
  ConvertingPrimitive forward_, backward_weights_, backward_data_;
  PackedWeights forward_weights_, backward_data_weights_;
  PackedGradient weights_gradient_;
  FusedActivation activation_;
  const float* weights_of_step_ = nullptr;
  Version version_ = 0;
};

Dense::Dense(const CpuContext& context, const DenseDesc& desc, const PlanHint& hint)
    : weights_size_(static_cast<std::size_t>(
          desc.units * (desc.per_position ? desc.input.channels : desc.input.elements_per_sample()))),
      bias_size_(static_cast<std::size_t>(desc.units)),
      visible_size_(desc.visible_bias ? weights_size_ / bias_size_ : 0),
      training_(hint.training),
      input_gradient_(hint.training && hint.input_gradient) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  const std::int64_t inputs = desc.per_position ? desc.input.channels : desc.input.elements_per_sample();
  const std::int64_t rows = desc.input.elements() / inputs;
  constexpr auto f32 = memory::data_type::f32;
  source_ = {{rows, inputs}, f32, memory::format_tag::nc};
  weights_ = {{desc.units, inputs}, f32, memory::format_tag::oi};
  bias_ = {{desc.units}, f32, memory::format_tag::a};
  result_ = {{rows, desc.units}, f32, memory::format_tag::nc};

  const bool rounds = context.precision == Precision::kBfloat16;
  const auto factor = rounds ? memory::data_type::bf16 : f32;
  source_factor_ = {{rows, inputs}, factor, memory::format_tag::nc};
  result_factor_ = {{rows, desc.units}, factor, memory::format_tag::nc};
  weights_factor_ = {{desc.units, inputs}, factor, rounds ? memory::format_tag::any : memory::format_tag::oi};
  weights_sums_ = {{desc.units, inputs}, f32, rounds ? memory::format_tag::any : memory::format_tag::oi};

  const ForwardPlan forward = plan_forward(context, desc.activation);
  activation_ = FusedActivation(context, desc.activation, result_, training_);
  info_.saved_bytes = activation_.saved_bytes();
  info_.scratch_bytes = std::max(info_.scratch_bytes, activation_.scratch_bytes());
  if (training_) plan_backward_weights(context, forward);
  if (input_gradient_) plan_backward_data(context, forward);
}

Dense::ForwardPlan Dense::plan_forward(const CpuContext& context, Activation activation) {
  const auto kind = training_ ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  ForwardPlan plan({kind, source_factor_, weights_factor_, bias_, result_}, with_activation(activation, training_),
                   context.engine);
  forward_ = ConvertingPrimitive(
      context, dnnl::inner_product_forward(plan), plan.scratchpad_desc(), {{DNNL_ARG_SRC, source_, source_factor_}},
      {{DNNL_ARG_WEIGHTS, plan.weights_desc()}, {DNNL_ARG_BIAS, bias_}, {DNNL_ARG_DST, result_}});
  forward_weights_ = PackedWeights(context, weights_, plan.weights_desc());
  note("forward", plan.impl_info_str(), std::max(forward_.scratch_bytes(), forward_weights_.scratch_bytes()),
       forward_weights_.bytes());
  return plan;
}

void Dense::plan_backward_weights(const CpuContext& context, const ForwardPlan& forward) {
  const dnnl::inner_product_backward_weights::primitive_desc plan(
      {source_factor_, weights_sums_, bias_, result_factor_}, user_scratchpad(), context.engine, forward);
  backward_weights_ =
      ConvertingPrimitive(context, dnnl::inner_product_backward_weights(plan), plan.scratchpad_desc(),
                          {{DNNL_ARG_SRC, source_, source_factor_}, {DNNL_ARG_DIFF_DST, result_, result_factor_}},
                          {{DNNL_ARG_DIFF_WEIGHTS, plan.diff_weights_desc()}, {DNNL_ARG_DIFF_BIAS, bias_}});
  weights_gradient_ = PackedGradient(context, weights_, plan.diff_weights_desc());
  note("backward_weights", plan.impl_info_str(),
       std::max(backward_weights_.scratch_bytes(), weights_gradient_.scratch_bytes()), weights_gradient_.bytes());
}

void Dense::plan_backward_data(const CpuContext& context, const ForwardPlan& forward) {
  const dnnl::inner_product_backward_data::primitive_desc plan({source_, weights_factor_, result_factor_},
                                                               user_scratchpad(), context.engine, forward);
  backward_data_ = ConvertingPrimitive(context, dnnl::inner_product_backward_data(plan), plan.scratchpad_desc(),
                                       {{DNNL_ARG_DIFF_DST, result_, result_factor_}},
                                       {{DNNL_ARG_WEIGHTS, plan.weights_desc()}, {DNNL_ARG_DIFF_SRC, source_}});
  backward_data_weights_ = PackedWeights(context, weights_, plan.weights_desc());
  note("backward_data", plan.impl_info_str(),
       std::max(backward_data_.scratch_bytes(), backward_data_weights_.scratch_bytes()),
       backward_data_weights_.bytes());
}

void Dense::note(const char* call, const char* implementation, std::size_t scratch_bytes, std::size_t private_bytes) {
  info_.algorithms.push_back({call, implementation});
  info_.scratch_bytes = std::max(info_.scratch_bytes, scratch_bytes);
  info_.private_bytes += private_bytes;
}

void Dense::bind(const Ports& ports) {
  forward_.set(DNNL_ARG_SRC, ports.input);
  forward_.set(DNNL_ARG_DST, activation_.bind(ports, ports.saved));
  forward_.set_scratch(ports.scratch);
  forward_weights_.bind(forward_, ports.scratch);
  if (!training_) return;
  backward_weights_.set(DNNL_ARG_SRC, ports.input);
  backward_weights_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_weights_.set_scratch(ports.scratch);
  weights_gradient_.bind(backward_weights_, ports.scratch);
  if (!input_gradient_) return;
  backward_data_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_data_.set(DNNL_ARG_DIFF_SRC, ports.input_gradient);
  backward_data_.set_scratch(ports.scratch);
  backward_data_weights_.bind(backward_data_, ports.scratch);
}

Status Dense::forward(const SampleKeys&) {
  RUBATO_TRY(forward_.execute());
  return activation_.forward();
}

Status Dense::load(std::size_t index, std::span<const float> values, Version version) {
  if (index == 2 && values.size() == visible_size_) return {};
  RUBATO_CHECK(index < 2 && values.size() == (index == 0 ? weights_size_ : bias_size_),
               "{} values for parameter {} of a dense layer", values.size(), index);
  if (index == 1) {
    forward_.set(DNNL_ARG_BIAS, values.data());
    return {};
  }
  weights_of_step_ = values.data();
  version_ = version;
  return forward_weights_.load(forward_, weights_of_step_, version);
}

Status Dense::backward_weights(std::span<const std::span<float>> gradients) {
  if (visible_size_ > 0) {
    std::ranges::fill(gradients.back(), 0.0f);
    gradients = gradients.first(2);
  }
  RUBATO_CHECK(gradients.size() == 2 && gradients[0].size() == weights_size_ && gradients[1].size() == bias_size_,
               "gradient buffers of a dense layer");
  backward_weights_.set(DNNL_ARG_DIFF_BIAS, gradients[1].data());
  return weights_gradient_.produce(backward_weights_, gradients[0].data());
}

Status Dense::backward_data() {
  RUBATO_TRY(backward_data_weights_.load(backward_data_, weights_of_step_, version_));
  return backward_data_.execute();
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const DenseDesc& desc, const PlanHint& hint) {
  return std::make_unique<Dense>(context, desc, hint);
}

}  // namespace rubato::kernels
