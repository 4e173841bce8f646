// Convolutions: oneDNN's, each call by the first of its ways (kernels/cpu/convolution_ways.h) for which oneDNN has a
// kernel, on weights in whatever layout it likes. Where it has none it falls to reference code, a thousand times
// slower: a blocked layout of few channels, or plain weights (tests/model/algorithms_test.cc forbids it).
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "kernels/cpu/activation.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/converting_primitive.h"
#include "kernels/cpu/convolution_ways.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/packed_weights.h"
#include "kernels/cpu/tensor_layout.h"

namespace rubato::kernels {
namespace {

using dnnl::memory;
using ForwardPlan = dnnl::convolution_forward::primitive_desc;
using BackwardWeightsPlan = dnnl::convolution_backward_weights::primitive_desc;
using BackwardDataPlan = dnnl::convolution_backward_data::primitive_desc;

constexpr const char* kNoSuchWay = "the plan names a way for which there is no kernel on this processor";

memory::desc weights_desc(const ConvolutionDesc& desc, memory::format_tag format,
                          memory::data_type type = memory::data_type::f32) {
  return {{desc.channels, desc.input.channels, desc.kernel, desc.kernel}, type, format};
}

// A convolution on tensors as one way wants them.
struct ConvolutionTensors {
  ConvolutionTensors(const ConvolutionDesc& desc, const ConvolutionWay& way);

  [[nodiscard]] ForwardPlan forward(const CpuContext& context, bool training,
                                    const dnnl::primitive_attr& attributes) const;
  [[nodiscard]] BackwardWeightsPlan backward_weights(const CpuContext& context) const;
  [[nodiscard]] BackwardDataPlan backward_data(const CpuContext& context) const;

  dnnl::algorithm algorithm;
  memory::desc source, weights, result;                       // factors, of any call; `weights` leaves the layout open
  memory::desc bias, source_sums, weights_sums, result_sums;  // what products are added up to is float32
  memory::dims strides, padding;
};

ConvolutionTensors::ConvolutionTensors(const ConvolutionDesc& desc, const ConvolutionWay& way)
    : algorithm(way.algorithm),
      source(tensor_desc(desc.input, way.source, way.factors)),
      weights(weights_desc(desc, memory::format_tag::any, way.factors)),
      result(tensor_desc(output_shape(desc), way.result, way.factors)),
      source_sums(tensor_desc(desc.input, way.source)),
      weights_sums(weights_desc(desc, memory::format_tag::any)),
      result_sums(tensor_desc(output_shape(desc), way.result)),
      strides{desc.stride, desc.stride},
      padding{desc.padding, desc.padding} {
  if (desc.bias) bias = {{desc.channels}, memory::data_type::f32, memory::format_tag::a};
}

ForwardPlan ConvolutionTensors::forward(const CpuContext& context, bool training,
                                        const dnnl::primitive_attr& attributes) const {
  // For inference Winograd's algorithm wants weights that are transformed already, which oneDNN makes of no layout of
  // ours.
  const bool as_in_training = training || algorithm == dnnl::algorithm::convolution_winograd;
  const auto kind = as_in_training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  return {{kind, algorithm, source, weights, bias, result_sums, strides, padding, padding}, attributes, context.engine};
}

BackwardWeightsPlan ConvolutionTensors::backward_weights(const CpuContext& context) const {
  return {{algorithm, source, weights_sums, result, strides, padding, padding},
          user_scratchpad(),
          context.engine,
          forward(context, true, user_scratchpad())};
}

BackwardDataPlan ConvolutionTensors::backward_data(const CpuContext& context) const {
  return {{algorithm, source_sums, weights, result, strides, padding, padding},
          user_scratchpad(),
          context.engine,
          forward(context, true, user_scratchpad())};
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
  using Tensor = ConvertingPrimitive::Tensor;

  void plan_forward(const CpuContext& context);
  void plan_backward_weights(const CpuContext& context);
  void plan_backward_data(const CpuContext& context);
  // By the plan; empty: by rule.
  [[nodiscard]] std::string way_named(const CpuContext& context, const std::string& call) const;
  // Gives take(tensors, plan) what `make` makes of the way that is named, or else of the first by rule for which there
  // is a kernel.
  template <typename Make, typename Take>
  void plan_call(const CpuContext& context, const char* call, Make&& make, Take&& take);
  [[nodiscard]] Tensor source_as(const memory::desc& wanted, int argument, bool written = false) const;
  [[nodiscard]] Tensor result_as(const memory::desc& wanted, int argument, bool written = false) const;
  [[nodiscard]] std::size_t parameters() const { return bias_size_ > 0 ? 2 : 1; }
  void need_scratch(std::size_t bytes) { info_.scratch_bytes = std::max(info_.scratch_bytes, bytes); }

  const ConvolutionDesc desc_;
  const PlanHint hint_;
  const std::size_t weights_size_, bias_size_;  // 0: no bias
  const memory::desc canonical_weights_;
  const bool training_, input_gradient_;
  OpInfo info_;
  ConvertingPrimitive forward_, backward_weights_, backward_data_;
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
    : desc_(desc),
      hint_(hint),
      weights_size_(static_cast<std::size_t>(desc.channels * desc.kernel * desc.kernel * desc.input.channels)),
      bias_size_(desc.bias ? static_cast<std::size_t>(desc.channels) : 0),
      canonical_weights_(weights_desc(desc, memory::format_tag::ohwi)),
      training_(hint.training),
      input_gradient_(hint.training && hint.input_gradient),
      threads_(context.threads) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  plan_forward(context);
  activation_ = FusedActivation(context, desc.activation, tensor_desc(info_.output, format_of(hint.output)), training_);
  info_.saved_bytes = activation_.saved_bytes();
  need_scratch(activation_.scratch_bytes());
  if (!training_) return;
  plan_backward_weights(context);
  if (input_gradient_) plan_backward_data(context);
}

std::string Convolution::way_named(const CpuContext& context, const std::string& call) const {
  if (!context.only_way.empty()) return context.only_way;
  if (!context.plan) return "";
  const std::string* way = context.plan->way_of(operation_name(desc_, hint_, context.precision),
                                                call == "forward" && !training_ ? "inference" : call);
  return way == nullptr ? "" : *way;
}

template <typename Make, typename Take>
void Convolution::plan_call(const CpuContext& context, const char* call, Make&& make, Take&& take) {
  std::vector<ConvolutionWay> ways = convolution_ways(desc_, hint_, context.precision);
  const std::string named = way_named(context, call);
  if (!named.empty()) {
    ways = all_convolution_ways(desc_, hint_, context.precision);
    std::erase_if(ways, [&](const ConvolutionWay& way) { return named != way.name; });
    if (ways.empty()) throw dnnl::error(dnnl_unimplemented, kNoSuchWay);
  }
  for (const ConvolutionWay& way : ways) {
    const bool last = &way == &ways.back();
    const ConvolutionTensors tensors(desc_, way);
    std::optional<decltype(make(tensors))> plan;
    try {
      plan = make(tensors);
    } catch (const dnnl::error&) {
      if (last) throw;
      continue;
    }
    const std::string_view implementation = plan->impl_info_str();
    const bool slow = implementation.starts_with("ref");
    if (slow && !last) continue;
    if (slow && !named.empty()) throw dnnl::error(dnnl_unimplemented, kNoSuchWay);
    info_.algorithms.push_back({call, std::string(implementation)});
    take(tensors, *plan);
    return;
  }
}

Convolution::Tensor Convolution::source_as(const memory::desc& wanted, int argument, bool written) const {
  // A single channel lies the same way in planes and rows.
  const bool plane = desc_.input.channels == 1;
  return {argument, plane ? as_float32(wanted) : tensor_desc(desc_.input, format_of(hint_.input)), wanted, written};
}

Convolution::Tensor Convolution::result_as(const memory::desc& wanted, int argument, bool written) const {
  return {argument, tensor_desc(info_.output, format_of(hint_.output)), wanted, written};
}

void Convolution::plan_forward(const CpuContext& context) {
  const auto make = [&](const ConvolutionTensors& t) {
    return t.forward(context, training_, with_activation(desc_.activation, training_));
  };
  plan_call(context, "forward", make, [&](const ConvolutionTensors& t, const ForwardPlan& plan) {
    forward_ = ConvertingPrimitive(context, dnnl::convolution_forward(plan), plan.scratchpad_desc(),
                                   {source_as(t.source, DNNL_ARG_SRC), result_as(t.result_sums, DNNL_ARG_DST, true)},
                                   {{DNNL_ARG_WEIGHTS, plan.weights_desc()}, {DNNL_ARG_BIAS, t.bias}});
    forward_weights_ = PackedWeights(context, canonical_weights_, plan.weights_desc());
  });
  need_scratch(forward_.scratch_bytes());
  need_scratch(forward_weights_.scratch_bytes());
  info_.private_bytes += forward_weights_.bytes();
}

void Convolution::plan_backward_weights(const CpuContext& context) {
  const auto make = [&](const ConvolutionTensors& t) { return t.backward_weights(context); };
  plan_call(context, "backward_weights", make, [&](const ConvolutionTensors& t, const BackwardWeightsPlan& plan) {
    backward_weights_ = ConvertingPrimitive(context, dnnl::convolution_backward_weights(plan), plan.scratchpad_desc(),
                                            {source_as(t.source, DNNL_ARG_SRC), result_as(t.result, DNNL_ARG_DIFF_DST)},
                                            {{DNNL_ARG_DIFF_WEIGHTS, plan.diff_weights_desc()}});
    weights_gradient_ = PackedGradient(context, canonical_weights_, plan.diff_weights_desc());
  });
  need_scratch(backward_weights_.scratch_bytes());
  need_scratch(weights_gradient_.scratch_bytes());
  info_.private_bytes += weights_gradient_.bytes();
  need_scratch(column_sums_scratch_bytes(info_.output));
}

void Convolution::plan_backward_data(const CpuContext& context) {
  const auto make = [&](const ConvolutionTensors& t) { return t.backward_data(context); };
  plan_call(context, "backward_data", make, [&](const ConvolutionTensors& t, const BackwardDataPlan& plan) {
    backward_data_ =
        ConvertingPrimitive(context, dnnl::convolution_backward_data(plan), plan.scratchpad_desc(),
                            {result_as(t.result, DNNL_ARG_DIFF_DST), source_as(t.source_sums, DNNL_ARG_DIFF_SRC, true)},
                            {{DNNL_ARG_WEIGHTS, plan.weights_desc()}});
    backward_data_weights_ = PackedWeights(context, canonical_weights_, plan.weights_desc());
  });
  need_scratch(backward_data_.scratch_bytes());
  need_scratch(backward_data_weights_.scratch_bytes());
  info_.private_bytes += backward_data_weights_.bytes();
}

void Convolution::bind(const Ports& ports) {
  forward_.set(DNNL_ARG_SRC, ports.input);
  forward_.set(DNNL_ARG_DST, activation_.bind(ports, ports.saved));
  forward_.set_scratch(ports.scratch);
  forward_weights_.bind(forward_, ports.scratch);
  if (!training_) return;
  backward_weights_.set(DNNL_ARG_SRC, ports.input);
  backward_weights_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_weights_.set_scratch(ports.scratch);
  weights_gradient_.bind(backward_weights_, ports.scratch);
  output_gradient_ = ports.output_gradient;
  scratch_ = static_cast<float*>(ports.scratch);
  if (!input_gradient_) return;
  backward_data_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_data_.set(DNNL_ARG_DIFF_SRC, ports.input_gradient);
  backward_data_.set_scratch(ports.scratch);
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
    column_sums(output_gradient_, info_.output, hint_.output, threads_, scratch_, gradients[1].data());
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
