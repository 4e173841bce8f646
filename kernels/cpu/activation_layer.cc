// An activation on its own, as an operation of oneDNN's. Its derivative is a function of its value or, of GELU, of its
// input; both live until backward.
#include <algorithm>

#include "kernels/cpu/activation.h"
#include "kernels/cpu/ops.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels {
namespace {

class ActivationLayer final : public ParameterlessOp {
 public:
  ActivationLayer(const CpuContext& context, const ActivationDesc& desc, const PlanHint& hint);

  void bind(const Ports& ports) override;
  Status forward(const SampleKeys&) override { return forward_.execute(); }
  Status begin_backward() override { return {}; }
  Status backward_data() override { return backward_.execute(); }

 private:
  const bool from_output_, backward_wanted_;
  Primitive forward_, backward_;
};

ActivationLayer::ActivationLayer(const CpuContext& context, const ActivationDesc& desc, const PlanHint& hint)
    : from_output_(algorithms(desc.activation).from_output), backward_wanted_(hint.training && hint.input_gradient) {
  info_.input = info_.output = desc.input;
  const ActivationAlgorithms algorithm = algorithms(desc.activation);
  const dnnl::memory::desc data({desc.input.elements()}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::a);
  const auto kind = hint.training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const dnnl::eltwise_forward::primitive_desc forward({kind, algorithm.forward, data, algorithm.alpha, algorithm.beta},
                                                      user_scratchpad(), context.engine);
  info_.algorithms.push_back({"forward", forward.impl_info_str()});
  info_.scratch_bytes = forward.scratchpad_desc().get_size();
  forward_ = Primitive(context, dnnl::eltwise_forward(forward),
                       {{DNNL_ARG_SRC, data}, {DNNL_ARG_DST, data}, {DNNL_ARG_SCRATCHPAD, forward.scratchpad_desc()}});
  if (!backward_wanted_) return;
  const dnnl::eltwise_backward::primitive_desc backward(
      {algorithm.backward, data, data, algorithm.alpha, algorithm.beta}, user_scratchpad(), context.engine, forward);
  info_.algorithms.push_back({"backward_data", backward.impl_info_str()});
  info_.scratch_bytes = std::max(info_.scratch_bytes, backward.scratchpad_desc().get_size());
  backward_ = Primitive(context, dnnl::eltwise_backward(backward),
                        {{from_output_ ? DNNL_ARG_DST : DNNL_ARG_SRC, data},
                         {DNNL_ARG_DIFF_DST, data},
                         {DNNL_ARG_DIFF_SRC, data},
                         {DNNL_ARG_SCRATCHPAD, backward.scratchpad_desc()}});
}

void ActivationLayer::bind(const Ports& ports) {
  forward_.set(DNNL_ARG_SRC, ports.input);
  forward_.set(DNNL_ARG_DST, ports.output);
  forward_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  if (!backward_wanted_) return;
  backward_.set(from_output_ ? DNNL_ARG_DST : DNNL_ARG_SRC, from_output_ ? ports.output : ports.input);
  backward_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_.set(DNNL_ARG_DIFF_SRC, ports.input_gradient);
  backward_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const ActivationDesc& desc, const PlanHint& hint) {
  return std::make_unique<ActivationLayer>(context, desc, hint);
}

}  // namespace rubato::kernels
