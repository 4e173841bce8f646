// Dense layers as oneDNN inner products on *plain* weights. The blocked weights that oneDNN would choose
// (`format any`, brgemm) run a little faster, but the reorders in and out cost more than they save: at
// 1024 x 1024 and batch 128 forward, backward-data and backward-weights take 2.9 ms, their three reorders
// 1.1; on plain weights (gemm) all takes 3.2. Plain weights are also read in place and gradients written
// in place.
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu/activation.h"
#include "kernels/cpu/ops.h"

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
  Status backward_data() override { return backward_data_.execute(); }

 private:
  void plan_backward(const CpuContext& context, const PlanHint& hint,
                     const dnnl::inner_product_forward::primitive_desc& forward);
  void note(const char* call, const char* implementation, std::size_t scratch_bytes);

  const std::size_t weights_size_, bias_size_, visible_size_;  // the last: 0 without a visible bias
  const bool training_, input_gradient_;
  OpInfo info_;
  memory::desc source_, weights_, bias_, result_;
  Primitive forward_, backward_weights_, backward_data_;
  FusedActivation activation_;
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

  const auto kind = training_ ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const dnnl::inner_product_forward::primitive_desc plan({kind, source_, weights_, bias_, result_},
                                                         with_activation(desc.activation, training_), context.engine);
  note("forward", plan.impl_info_str(), plan.scratchpad_desc().get_size());
  forward_ = Primitive(context, dnnl::inner_product_forward(plan),
                       {{DNNL_ARG_SRC, source_},
                        {DNNL_ARG_WEIGHTS, weights_},
                        {DNNL_ARG_BIAS, bias_},
                        {DNNL_ARG_DST, result_},
                        {DNNL_ARG_SCRATCHPAD, plan.scratchpad_desc()}});
  activation_ = FusedActivation(context, desc.activation, result_, training_);
  info_.saved_bytes = activation_.saved_bytes();
  info_.scratch_bytes = std::max(info_.scratch_bytes, activation_.scratch_bytes());
  if (training_) plan_backward(context, hint, plan);
}

void Dense::plan_backward(const CpuContext& context, const PlanHint& hint,
                          const dnnl::inner_product_forward::primitive_desc& forward) {
  const dnnl::inner_product_backward_weights::primitive_desc weights({source_, weights_, bias_, result_},
                                                                     user_scratchpad(), context.engine, forward);
  note("backward_weights", weights.impl_info_str(), weights.scratchpad_desc().get_size());
  backward_weights_ = Primitive(context, dnnl::inner_product_backward_weights(weights),
                                {{DNNL_ARG_SRC, source_},
                                 {DNNL_ARG_DIFF_DST, result_},
                                 {DNNL_ARG_DIFF_WEIGHTS, weights_},
                                 {DNNL_ARG_DIFF_BIAS, bias_},
                                 {DNNL_ARG_SCRATCHPAD, weights.scratchpad_desc()}});
  if (!hint.input_gradient) return;
  const dnnl::inner_product_backward_data::primitive_desc data({source_, weights_, result_}, user_scratchpad(),
                                                               context.engine, forward);
  note("backward_data", data.impl_info_str(), data.scratchpad_desc().get_size());
  backward_data_ = Primitive(context, dnnl::inner_product_backward_data(data),
                             {{DNNL_ARG_DIFF_DST, result_},
                              {DNNL_ARG_WEIGHTS, weights_},
                              {DNNL_ARG_DIFF_SRC, source_},
                              {DNNL_ARG_SCRATCHPAD, data.scratchpad_desc()}});
}

void Dense::note(const char* call, const char* implementation, std::size_t scratch_bytes) {
  info_.algorithms.push_back({call, implementation});
  info_.scratch_bytes = std::max(info_.scratch_bytes, scratch_bytes);
}

void Dense::bind(const Ports& ports) {
  forward_.set(DNNL_ARG_SRC, ports.input);
  forward_.set(DNNL_ARG_DST, activation_.bind(ports, ports.saved));
  forward_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  if (!training_) return;
  backward_weights_.set(DNNL_ARG_SRC, ports.input);
  backward_weights_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_weights_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  if (!input_gradient_) return;
  backward_data_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_data_.set(DNNL_ARG_DIFF_SRC, ports.input_gradient);
  backward_data_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
}

Status Dense::forward(const SampleKeys&) {
  RUBATO_TRY(forward_.execute());
  return activation_.forward();
}

Status Dense::load(std::size_t index, std::span<const float> values, Version) {
  if (index == 2 && values.size() == visible_size_) return {};
  RUBATO_CHECK(index < 2 && values.size() == (index == 0 ? weights_size_ : bias_size_),
               "{} values for parameter {} of a dense layer", values.size(), index);
  forward_.set(index == 0 ? DNNL_ARG_WEIGHTS : DNNL_ARG_BIAS, values.data());
  if (index == 0 && input_gradient_) backward_data_.set(DNNL_ARG_WEIGHTS, values.data());
  return {};
}

Status Dense::backward_weights(std::span<const std::span<float>> gradients) {
  if (visible_size_ > 0) {
    std::ranges::fill(gradients.back(), 0.0f);
    gradients = gradients.first(2);
  }
  RUBATO_CHECK(gradients.size() == 2 && gradients[0].size() == weights_size_ && gradients[1].size() == bias_size_,
               "gradient buffers of a dense layer");
  backward_weights_.set(DNNL_ARG_DIFF_WEIGHTS, gradients[0].data());
  backward_weights_.set(DNNL_ARG_DIFF_BIAS, gradients[1].data());
  return backward_weights_.execute();
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const DenseDesc& desc, const PlanHint& hint) {
  return std::make_unique<Dense>(context, desc, hint);
}

}  // namespace rubato::kernels
