// Pooling as oneDNN does it, with the activation after it. What max pooling saves is a byte for each
// output: the place in the window that won.
#include <algorithm>
#include <cstddef>

#include "base/check.h"
#include "kernels/cpu/activation.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/parameterless_op.h"

namespace rubato::kernels {
namespace {

using dnnl::memory;

class Pool final : public ParameterlessOp {
 public:
  Pool(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint);

  void bind(const Ports& ports) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return activation_.backward(); }
  Status backward_data() override { return backward_.execute(); }

 private:
  const bool training_, saves_;
  Primitive forward_, backward_;
  FusedActivation activation_;
  std::size_t winners_offset_ = 0;  // in `saved`
};

Pool::Pool(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint)
    : training_(hint.training), saves_(hint.training && desc.kind == PoolDesc::Kind::kMax) {
  const TensorShape in = desc.input, out = output_shape(desc);
  info_.input = in;
  info_.output = out;
  constexpr auto f32 = memory::data_type::f32;
  const memory::desc source({in.samples, in.channels, in.height, in.width}, f32, memory::format_tag::nhwc);
  const memory::desc result({out.samples, out.channels, out.height, out.width}, f32, memory::format_tag::nhwc);
  const memory::dims strides{desc.stride, desc.stride}, window{desc.window, desc.window},
      padding{desc.padding, desc.padding};
  const auto algorithm =
      desc.kind == PoolDesc::Kind::kMax ? dnnl::algorithm::pooling_max : dnnl::algorithm::pooling_avg_exclude_padding;
  const auto kind = training_ ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;

  const dnnl::pooling_forward::primitive_desc forward(
      {kind, algorithm, source, result, strides, window, padding, padding}, with_activation(desc.activation, training_),
      context.engine);
  info_.algorithms.push_back({"forward", forward.impl_info_str()});
  activation_ = FusedActivation(context, desc.activation, result, training_);
  winners_offset_ = activation_.saved_bytes();  // floats before bytes
  info_.saved_bytes = winners_offset_ + (saves_ ? forward.workspace_desc().get_size() : 0);
  info_.scratch_bytes = std::max(forward.scratchpad_desc().get_size(), activation_.scratch_bytes());
  forward_ = Primitive(context, dnnl::pooling_forward(forward),
                       {{DNNL_ARG_SRC, source},
                        {DNNL_ARG_DST, result},
                        {DNNL_ARG_WORKSPACE, forward.workspace_desc()},
                        {DNNL_ARG_SCRATCHPAD, forward.scratchpad_desc()}});
  if (!training_) return;
  const dnnl::pooling_backward::primitive_desc backward({algorithm, source, result, strides, window, padding, padding},
                                                        user_scratchpad(), context.engine, forward);
  info_.algorithms.push_back({"backward_data", backward.impl_info_str()});
  info_.scratch_bytes = std::max(info_.scratch_bytes, backward.scratchpad_desc().get_size());
  backward_ = Primitive(context, dnnl::pooling_backward(backward),
                        {{DNNL_ARG_DIFF_SRC, source},
                         {DNNL_ARG_DIFF_DST, result},
                         {DNNL_ARG_WORKSPACE, backward.workspace_desc()},
                         {DNNL_ARG_SCRATCHPAD, backward.scratchpad_desc()}});
}

Status Pool::forward(const SampleKeys&) {
  RUBATO_TRY(forward_.execute());
  return activation_.forward();
}

void Pool::bind(const Ports& ports) {
  forward_.set(DNNL_ARG_SRC, ports.input);
  void* const winners = saves_ ? static_cast<std::byte*>(ports.saved) + winners_offset_ : nullptr;
  forward_.set(DNNL_ARG_DST, activation_.bind(ports, ports.saved));
  forward_.set(DNNL_ARG_WORKSPACE, winners);
  forward_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
  if (!training_) return;
  backward_.set(DNNL_ARG_DIFF_SRC, ports.input_gradient);
  backward_.set(DNNL_ARG_DIFF_DST, ports.output_gradient);
  backward_.set(DNNL_ARG_WORKSPACE, winners);
  backward_.set(DNNL_ARG_SCRATCHPAD, ports.scratch);
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint) {
  return std::make_unique<Pool>(context, desc, hint);
}

}  // namespace rubato::kernels
