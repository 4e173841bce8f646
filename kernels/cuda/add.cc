// Sums of two tensors, with ReLU behind them where it is asked for. The gradient goes through to both.
#include "base/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pointwise.h"
#include "kernels/cuda/update_rules.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels::cuda {
namespace {

class Add final : public ParameterlessOp {
 public:
  Add(const CudaContext& context, const AddDesc& desc)
      : context_(context), activation_(desc.activation), count_(static_cast<std::size_t>(desc.input.elements())) {
    RUBATO_CHECK(activation_ == Activation::kRelu || activation_ == Activation::kNone, "a sum with activation {}",
                 static_cast<int>(activation_));
    info_.input = info_.output = desc.input;
    info_.adds_gradients = true;
    info_.algorithms = {{"forward", "kernel"}, {"backward_data", "copy"}};
  }

  Status forward(const SampleKeys&) override {
    return check(enqueue_add(activation_, ports_.input, ports_.addend, ports_.output, count_, context_.stream.get()),
                 "launch of a sum of {} elements on stream {}", count_, context_.stream.name());
  }
  Status begin_backward() override {
    float* const gradient = ports_.output_gradient;
    if (ports_.second_gradient != nullptr)
      RUBATO_TRY(check(enqueue_sum(gradient, ports_.second_gradient, count_, context_.stream.get()),
                       "launch of a sum of gradients of {} elements on stream {}", count_, context_.stream.name()));
    if (activation_ == Activation::kNone) return {};
    return check(
        enqueue_activation_gradient(activation_, ports_.output, gradient, gradient, count_, context_.stream.get()),
        "launch of a sum's gradient of {} elements on stream {}", count_, context_.stream.name());
  }
  Status backward_data() override {
    return enqueue_copy<float>({ports_.input_gradient, count_}, {ports_.output_gradient, count_}, context_.stream);
  }

 private:
  const CudaContext& context_;
  const Activation activation_;
  const std::size_t count_;
};

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const AddDesc& desc, const PlanHint&) {
  return std::unique_ptr<Op>(std::make_unique<Add>(context, desc));
}

}  // namespace rubato::kernels::cuda
