#include "kernels/cpu/activation.h"

#include "base/check.h"

namespace rubato::kernels {
namespace {

dnnl::algorithm forward_algorithm(Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return dnnl::algorithm::eltwise_relu;
    case Activation::kTanh:
      return dnnl::algorithm::eltwise_tanh;
    case Activation::kSigmoid:
      return dnnl::algorithm::eltwise_logistic;
    case Activation::kNone:
      break;
  }
  RUBATO_CHECK(false, "no algorithm for activation {}", static_cast<int>(activation));
}

dnnl::algorithm backward_algorithm(Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return dnnl::algorithm::eltwise_relu_use_dst_for_bwd;
    case Activation::kTanh:
      return dnnl::algorithm::eltwise_tanh_use_dst_for_bwd;
    case Activation::kSigmoid:
      return dnnl::algorithm::eltwise_logistic_use_dst_for_bwd;
    case Activation::kNone:
      break;
  }
  RUBATO_CHECK(false, "no algorithm for activation {}", static_cast<int>(activation));
}

}  // namespace

dnnl::primitive_attr with_activation(Activation activation) {
  dnnl::primitive_attr attributes = user_scratchpad();
  if (activation != Activation::kNone) {
    dnnl::post_ops after;
    after.append_eltwise(1.0f, forward_algorithm(activation), 0.0f, 0.0f);
    attributes.set_post_ops(after);
  }
  return attributes;
}

ActivationBackward::ActivationBackward(const CpuContext& context, Activation activation, const dnnl::memory::desc& data)
    : identity_(activation == Activation::kNone) {
  if (identity_) return;
  const dnnl::algorithm algorithm = backward_algorithm(activation);
  const dnnl::eltwise_forward::primitive_desc hint({dnnl::prop_kind::forward_training, algorithm, data, 0.0f, 0.0f},
                                                   context.engine);
  const dnnl::eltwise_backward::primitive_desc plan({algorithm, data, data, 0.0f, 0.0f}, user_scratchpad(),
                                                    context.engine, hint);
  scratch_bytes_ = plan.scratchpad_desc().get_size();
  primitive_ = Primitive(context, dnnl::eltwise_backward(plan),
                         {{DNNL_ARG_DST, data},
                          {DNNL_ARG_DIFF_DST, data},
                          {DNNL_ARG_DIFF_SRC, data},
                          {DNNL_ARG_SCRATCHPAD, plan.scratchpad_desc()}});
}

void ActivationBackward::bind(const float* output, float* gradient, void* scratch) {
  if (identity_) return;
  primitive_.set(DNNL_ARG_DST, output);
  primitive_.set(DNNL_ARG_DIFF_DST, gradient);
  primitive_.set(DNNL_ARG_DIFF_SRC, gradient);
  primitive_.set(DNNL_ARG_SCRATCHPAD, scratch);
}

Status ActivationBackward::run() const { return identity_ ? Status{} : primitive_.execute(); }

}  // namespace rubato::kernels
