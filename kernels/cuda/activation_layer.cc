// An activation on its own. Backward reads the output or, of GELU, the input; both live until then.
#include "kernels/activation_math.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pointwise.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels::cuda {
namespace {

class ActivationLayer final : public ParameterlessOp {
 public:
  ActivationLayer(const CudaContext& context, const ActivationDesc& desc)
      : context_(context), activation_(desc.activation), count_(static_cast<std::size_t>(desc.input.elements())) {
    info_.input = info_.output = desc.input;
    info_.algorithms = {{"forward", "kernel"}, {"backward_data", "kernel"}};
  }

  Status forward(const SampleKeys&) override {
    return check(enqueue_activation(activation_, ports_.input, ports_.output, count_, context_.stream.get()),
                 "launch of an activation of {} elements on stream {}", count_, context_.stream.name());
  }
  Status begin_backward() override { return {}; }
  Status backward_data() override {
    return check(
        enqueue_activation_gradient(activation_, slope_needs_input(activation_) ? ports_.input : ports_.output,
                                    ports_.output_gradient, ports_.input_gradient, count_, context_.stream.get()),
        "launch of an activation's gradient of {} elements on stream {}", count_, context_.stream.name());
  }

 private:
  const CudaContext& context_;
  const Activation activation_;
  const std::size_t count_;
};

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const ActivationDesc& desc, const PlanHint&) {
  return std::unique_ptr<Op>(std::make_unique<ActivationLayer>(context, desc));
}

}  // namespace rubato::kernels::cuda
