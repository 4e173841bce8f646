// Pooling by kernels of our own. For backward `saved` has what goes into an activation whose slope asks for it, and
// behind that where in its window each maximum was.
#include "base/check.h"
#include "kernels/activation_math.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pointwise.h"
#include "kernels/cuda/pool_kernel.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels::cuda {
namespace {

class Pool final : public ParameterlessOp {
 public:
  Pool(const CudaContext& context, const PoolDesc& desc, const PlanHint& hint);

  void bind(const Ports& ports) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override;
  Status backward_data() override;

 private:
  [[nodiscard]] Status launched(cudaError_t error, const char* what) const {
    return check(error, "launch of a pooling{} from {} to {} elements on stream {}", what, shape_.input.elements(),
                 shape_.output.elements(), context_.stream.name());
  }

  const CudaContext& context_;
  const Activation activation_;
  const PoolShape shape_;
  const std::size_t results_;
  const bool keeps_values_, keeps_places_;
  float* values_ = nullptr;  // before the activation
  std::uint16_t* chosen_ = nullptr;
};

Pool::Pool(const CudaContext& context, const PoolDesc& desc, const PlanHint& hint)
    : context_(context),
      activation_(desc.activation),
      shape_{desc.input, output_shape(desc), desc.window, desc.stride, desc.padding, desc.kind == PoolDesc::Kind::kMax},
      results_(static_cast<std::size_t>(shape_.output.elements())),
      keeps_values_(hint.training && slope_needs_input(desc.activation)),
      keeps_places_(hint.training && shape_.maximum) {
  RUBATO_CHECK((!shape_.maximum || desc.window <= 256) && desc.padding < desc.window, "windows of {} with padding {}",
               desc.window, desc.padding);
  info_.input = desc.input;
  info_.output = shape_.output;
  info_.saved_bytes = results_ * ((keeps_values_ ? sizeof(float) : 0) + (keeps_places_ ? sizeof(std::uint16_t) : 0));
  info_.algorithms = {{"forward", "kernel"}};
  if (hint.training) info_.algorithms.push_back({"backward_data", "kernel"});
}

void Pool::bind(const Ports& ports) {
  ports_ = ports;
  auto* const saved = static_cast<float*>(ports.saved);
  values_ = keeps_values_ ? saved : ports.output;
  if (keeps_places_) chosen_ = reinterpret_cast<std::uint16_t*>(saved + (keeps_values_ ? results_ : 0));
}

Status Pool::forward(const SampleKeys&) {
  const cudaStream_t stream = context_.stream.get();
  RUBATO_TRY(launched(enqueue_pool(shape_, ports_.input, values_, chosen_, stream), ""));
  if (activation_ == Activation::kNone) return {};
  return launched(enqueue_activation(activation_, values_, ports_.output, results_, stream), "'s activation");
}

Status Pool::begin_backward() {
  if (activation_ == Activation::kNone) return {};
  return launched(enqueue_activation_gradient(activation_, values_, ports_.output_gradient, ports_.output_gradient,
                                              results_, context_.stream.get()),
                  "'s activation's gradient");
}

Status Pool::backward_data() {
  return launched(
      enqueue_pool_gradient(shape_, ports_.output_gradient, chosen_, ports_.input_gradient, context_.stream.get()),
      "'s gradient");
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const PoolDesc& desc, const PlanHint& hint) {
  return std::unique_ptr<Op>(std::make_unique<Pool>(context, desc, hint));
}

}  // namespace rubato::kernels::cuda
