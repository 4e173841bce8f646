#include "kernels/cpu/activation.h"

#include <algorithm>

#include "base/check.h"

namespace rubato::kernels {

ActivationAlgorithms algorithms(Activation activation) {
  using dnnl::algorithm;
  switch (activation) {
    case Activation::kRelu:
      return {algorithm::eltwise_relu, algorithm::eltwise_relu_use_dst_for_bwd, true, 0.0f, 0.0f};
    case Activation::kTanh:
      return {algorithm::eltwise_tanh, algorithm::eltwise_tanh_use_dst_for_bwd, true, 0.0f, 0.0f};
    case Activation::kSigmoid:
      return {algorithm::eltwise_logistic, algorithm::eltwise_logistic_use_dst_for_bwd, true, 0.0f, 0.0f};
    case Activation::kGelu:
      return {algorithm::eltwise_gelu_erf, algorithm::eltwise_gelu_erf, false, 0.0f, 0.0f};
    case Activation::kGeluTanh:
      return {algorithm::eltwise_gelu_tanh, algorithm::eltwise_gelu_tanh, false, 0.0f, 0.0f};
    case Activation::kNone:
      break;
  }
  RUBATO_CHECK(false, "no algorithm for activation {}", static_cast<int>(activation));
}

namespace {

bool keeps_input(Activation activation, bool training) {
  return training && activation != Activation::kNone && !algorithms(activation).from_output;
}

}  // namespace

dnnl::primitive_attr with_activation(Activation activation, bool training) {
  dnnl::primitive_attr attributes = user_scratchpad();
  if (activation == Activation::kNone || keeps_input(activation, training)) return attributes;
  dnnl::post_ops after;
  const ActivationAlgorithms algorithm = algorithms(activation);
  after.append_eltwise(1.0f, algorithm.forward, algorithm.alpha, algorithm.beta);
  attributes.set_post_ops(after);
  return attributes;
}

FusedActivation::FusedActivation(const CpuContext& context, Activation activation, const dnnl::memory::desc& data,
                                 bool training, bool fused)
    : identity_(activation == Activation::kNone || !training),
      behind_(activation != Activation::kNone && (!fused || keeps_input(activation, training))) {
  if (identity_ && !behind_) return;
  const ActivationAlgorithms algorithm = algorithms(activation);
  const dnnl::eltwise_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, algorithm.forward, data, algorithm.alpha, algorithm.beta}, user_scratchpad(),
      context.engine);
  if (keeps_input(activation, training)) saved_bytes_ = data.get_size();
  if (behind_) {
    scratch_bytes_ = forward.scratchpad_desc().get_size();
    forward_ =
        Primitive(context, dnnl::eltwise_forward(forward),
                  {{DNNL_ARG_SRC, data}, {DNNL_ARG_DST, data}, {DNNL_ARG_SCRATCHPAD, forward.scratchpad_desc()}});
  }
  if (identity_) return;
  const dnnl::eltwise_backward::primitive_desc backward(
      {algorithm.backward, data, data, algorithm.alpha, algorithm.beta}, user_scratchpad(), context.engine, forward);
  scratch_bytes_ = std::max(scratch_bytes_, backward.scratchpad_desc().get_size());
  backward_ = Primitive(context, dnnl::eltwise_backward(backward),
                        {{algorithm.from_output ? DNNL_ARG_DST : DNNL_ARG_SRC, data},
                         {DNNL_ARG_DIFF_DST, data},
                         {DNNL_ARG_DIFF_SRC, data},
                         {DNNL_ARG_SCRATCHPAD, backward.scratchpad_desc()}});
}

float* FusedActivation::bind(const Ports& ports, void* saved) {
  float* const result = saved_bytes_ == 0 ? ports.output : static_cast<float*>(saved);
  if (behind_) {
    forward_.set(DNNL_ARG_SRC, result);
    forward_.set(DNNL_ARG_DST, ports.output);
    forward_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  }
  if (identity_) return result;
  backward_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_.set(DNNL_ARG_DIFF_SRC, ports.output_gradient);
  backward_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  backward_.set(saved_bytes_ == 0 ? DNNL_ARG_DST : DNNL_ARG_SRC, result);
  return result;
}

}  // namespace rubato::kernels
