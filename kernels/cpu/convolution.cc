// Convolutions: oneDNN on channels-last activations, weights in whatever layout it likes. Forcing a
// blocked layout on few channels, or plain weights, falls to its reference code, a thousand times slower
// (tests/model/algorithms_test.cc forbids it).
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu/activation.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/packed_weights.h"

namespace rubato::kernels {
namespace {

using dnnl::memory;
constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;

struct ConvolutionTensors {
  explicit ConvolutionTensors(const ConvolutionDesc& desc);

  memory::desc source, weights, bias, result;
  memory::desc canonical_weights;  // `weights` leaves the layout open
  memory::dims strides, padding;
};

ConvolutionTensors::ConvolutionTensors(const ConvolutionDesc& desc)
    : strides{desc.stride, desc.stride}, padding{desc.padding, desc.padding} {
  const TensorShape in = desc.input, out = output_shape(desc);
  const memory::dims kernel{desc.channels, in.channels, desc.kernel, desc.kernel};
  constexpr auto f32 = memory::data_type::f32;
  source = {{in.samples, in.channels, in.height, in.width}, f32, memory::format_tag::nhwc};
  weights = {kernel, f32, memory::format_tag::any};
  canonical_weights = {kernel, f32, memory::format_tag::ohwi};
  if (desc.bias) bias = {{desc.channels}, f32, memory::format_tag::a};
  result = {{out.samples, out.channels, out.height, out.width}, f32, memory::format_tag::nhwc};
}

class Convolution final : public Op {
 public:
  Convolution(const CpuContext& context, const ConvolutionDesc& desc, const PlanHint& hint);

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return activation_.backward(); }
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  using ForwardPlan = dnnl::convolution_forward::primitive_desc;
  void plan_backward_weights(const CpuContext& context, const ConvolutionTensors& t, const ForwardPlan& forward);
  void plan_backward_data(const CpuContext& context, const ConvolutionTensors& t, const ForwardPlan& forward);
  void note(const char* call, const char* implementation) { info_.algorithms.push_back({call, implementation}); }
  [[nodiscard]] std::size_t parameters() const { return bias_size_ > 0 ? 2 : 1; }
  void need_scratch(std::size_t bytes) { info_.scratch_bytes = std::max(info_.scratch_bytes, bytes); }

  const std::size_t weights_size_, bias_size_;  // 0: no bias
  const bool training_, input_gradient_;
  OpInfo info_;
  Primitive forward_, backward_weights_, backward_data_;
  PackedWeights forward_weights_, backward_data_weights_;
  PackedGradient weights_gradient_;
  FusedActivation activation_;
  const int threads_;
  const float* output_gradient_ = nullptr;
  float* scratch_ = nullptr;
  const float* weights_ = nullptr;  // of this step
  Version weights_version_ = 0;
};

Convolution::Convolution(const CpuContext& context, const ConvolutionDesc& desc, const PlanHint& hint)
    : weights_size_(static_cast<std::size_t>(desc.channels * desc.kernel * desc.kernel * desc.input.channels)),
      bias_size_(desc.bias ? static_cast<std::size_t>(desc.channels) : 0),
      training_(hint.training),
      input_gradient_(hint.training && hint.input_gradient),
      threads_(context.threads) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  const ConvolutionTensors t(desc);
  const auto kind = training_ ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const ForwardPlan plan({kind, kAlgorithm, t.source, t.weights, t.bias, t.result, t.strides, t.padding, t.padding},
                         with_activation(desc.activation, training_), context.engine);
  note("forward", plan.impl_info_str());
  forward_ = Primitive(context, dnnl::convolution_forward(plan),
                       {{DNNL_ARG_SRC, t.source},
                        {DNNL_ARG_WEIGHTS, plan.weights_desc()},
                        {DNNL_ARG_BIAS, t.bias},
                        {DNNL_ARG_DST, t.result},
                        {DNNL_ARG_SCRATCHPAD, plan.scratchpad_desc()}});
  forward_weights_ = PackedWeights(context, t.canonical_weights, plan.weights_desc());
  need_scratch(plan.scratchpad_desc().get_size());
  need_scratch(forward_weights_.scratch_bytes());
  info_.private_bytes += forward_weights_.bytes();
  activation_ = FusedActivation(context, desc.activation, t.result, training_);
  info_.saved_bytes = activation_.saved_bytes();
  need_scratch(activation_.scratch_bytes());
  if (!training_) return;
  plan_backward_weights(context, t, plan);
  if (input_gradient_) plan_backward_data(context, t, plan);
}

void Convolution::plan_backward_weights(const CpuContext& context, const ConvolutionTensors& t,
                                        const ForwardPlan& forward) {
  const dnnl::convolution_backward_weights::primitive_desc plan(
      {kAlgorithm, t.source, t.weights, t.result, t.strides, t.padding, t.padding}, user_scratchpad(), context.engine,
      forward);
  note("backward_weights", plan.impl_info_str());
  backward_weights_ = Primitive(context, dnnl::convolution_backward_weights(plan),
                                {{DNNL_ARG_SRC, t.source},
                                 {DNNL_ARG_DIFF_DST, t.result},
                                 {DNNL_ARG_DIFF_WEIGHTS, plan.diff_weights_desc()},
                                 {DNNL_ARG_SCRATCHPAD, plan.scratchpad_desc()}});
  weights_gradient_ = PackedGradient(context, t.canonical_weights, plan.diff_weights_desc());
  need_scratch(plan.scratchpad_desc().get_size());
  need_scratch(weights_gradient_.scratch_bytes());
  info_.private_bytes += weights_gradient_.bytes();
  need_scratch(column_sums_scratch_bytes(info_.output));
}

void Convolution::plan_backward_data(const CpuContext& context, const ConvolutionTensors& t,
                                     const ForwardPlan& forward) {
  const dnnl::convolution_backward_data::primitive_desc plan(
      {kAlgorithm, t.source, t.weights, t.result, t.strides, t.padding, t.padding}, user_scratchpad(), context.engine,
      forward);
  note("backward_data", plan.impl_info_str());
  backward_data_ = Primitive(context, dnnl::convolution_backward_data(plan),
                             {{DNNL_ARG_DIFF_DST, t.result},
                              {DNNL_ARG_WEIGHTS, plan.weights_desc()},
                              {DNNL_ARG_DIFF_SRC, t.source},
                              {DNNL_ARG_SCRATCHPAD, plan.scratchpad_desc()}});
  backward_data_weights_ = PackedWeights(context, t.canonical_weights, plan.weights_desc());
  need_scratch(plan.scratchpad_desc().get_size());
  need_scratch(backward_data_weights_.scratch_bytes());
  info_.private_bytes += backward_data_weights_.bytes();
}

void Convolution::bind(const Ports& ports) {
  forward_.set(DNNL_ARG_SRC, ports.input);
  forward_.set(DNNL_ARG_DST, activation_.bind(ports, ports.saved));
  forward_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  forward_weights_.bind(forward_, ports.scratch);
  if (!training_) return;
  backward_weights_.set(DNNL_ARG_SRC, ports.input);
  backward_weights_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_weights_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  weights_gradient_.bind(backward_weights_, ports.scratch);
  output_gradient_ = ports.output_gradient;
  scratch_ = static_cast<float*>(ports.scratch);
  if (!input_gradient_) return;
  backward_data_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_data_.set(DNNL_ARG_DIFF_SRC, ports.input_gradient);
  backward_data_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  backward_data_weights_.bind(backward_data_, ports.scratch);
}

Status Convolution::forward(const SampleKeys&) {
  RUBATO_TRY(forward_.execute());
  return activation_.forward();
}

Status Convolution::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < parameters() && values.size() == (index == 0 ? weights_size_ : bias_size_),
               "{} values for parameter {} of a convolution", values.size(), index);
  if (index == 1) {
    forward_.set(DNNL_ARG_BIAS, values.data());
    return {};
  }
  weights_ = values.data();
  weights_version_ = version;
  return forward_weights_.load(forward_, weights_, version);
}

Status Convolution::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == parameters() && gradients[0].size() == weights_size_, "gradients of a convolution");
  if (bias_size_ > 0) {
    RUBATO_CHECK(gradients[1].size() == bias_size_, "{} numbers for the gradient of a bias", gradients[1].size());
    column_sums(output_gradient_, info_.output, threads_, scratch_, gradients[1].data());
  }
  return weights_gradient_.produce(backward_weights_, gradients[0].data());
}

Status Convolution::backward_data() {
  RUBATO_TRY(backward_data_weights_.load(backward_data_, weights_, weights_version_));
  return backward_data_.execute();
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const ConvolutionDesc& desc, const PlanHint& hint) {
  return std::make_unique<Convolution>(context, desc, hint);
}

}  // namespace rubato::kernels
