// Causal attention by cuDNN's fused engines (kernels/cuda/attention_plan.h): one call forward and one backward, of all
// heads and samples, with no scores in memory. Where bfloat16 is multiplied, and cuDNN has an engine for the shape and
// the GPU; kernels/cuda/attention.cc is what there is for everything else.
//
// Input and output gradient are rounded before, output and input gradient widened behind (kernels/cuda/factor.h). For
// backward the rounded input, the output as it was before it was widened, and a number for each row of scores are
// saved.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/cuda/factor.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/ops.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels::cuda {
namespace {

// Of compute capability: of later GPUs cuDNN wants to be asked otherwise. Whether all of these give equal bits is to be
// seen (docs/decisions/fused-attention-on-cuda.md).
constexpr int kFirstGpu = 80, kLastGpu = 90;
// Of before, NVIDIA's own front end avoids the backward engines where positions are no multiple of 128.
constexpr std::size_t kFirstVersion = 91'600;

using SharedPlan = std::shared_ptr<const AttentionPlan>;

class FusedAttention final : public ParameterlessOp {
 public:
  // Backward's plan is null where nobody asks for it.
  FusedAttention(const CudaContext& context, const AttentionDesc& desc, SharedPlan forward, SharedPlan backward);

  void bind(const Ports& ports) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return {}; }
  Status backward_data() override;

 private:
  Status run(const AttentionPlan& plan, AddressPack& addresses);

  const CudaContext& context_;
  const SharedPlan forward_, backward_;
  const std::size_t rows_bytes_;  // of a number for each row of scores
  Factor input_, output_gradient_;
  NarrowResult output_, input_gradient_;
  std::size_t library_bytes_ = 0;  // of scratch
  AttentionTensors at_;
  AddressPack forward_addresses_, backward_addresses_;
};

FusedAttention::FusedAttention(const CudaContext& context, const AttentionDesc& desc, SharedPlan forward,
                               SharedPlan backward)
    : context_(context),
      forward_(std::move(forward)),
      backward_(std::move(backward)),
      rows_bytes_(
          aligned(static_cast<std::size_t>(desc.input.samples * desc.input.height * desc.input.width * desc.heads) *
                  sizeof(float))),
      input_(context, static_cast<std::size_t>(desc.input.elements())),
      output_gradient_(context, static_cast<std::size_t>(output_shape(desc).elements())),
      output_(context, static_cast<std::size_t>(output_shape(desc).elements())),
      input_gradient_(context, static_cast<std::size_t>(desc.input.elements())) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  const std::size_t kept = input_.bytes() + output_.bytes() + rows_bytes_;
  library_bytes_ = aligned(std::max(forward_->scratch_bytes(), backward_ ? backward_->scratch_bytes() : 0));
  info_.algorithms.push_back({name_of(AttentionCall::kForward), fmt::format("cudnn engine {}", forward_->engine())});
  info_.scratch_bytes = library_bytes_ + kept;
  if (backward_ == nullptr) return;
  info_.algorithms.push_back({name_of(AttentionCall::kBackward), fmt::format("cudnn engine {}", backward_->engine())});
  info_.saved_bytes = kept;
  info_.scratch_bytes = library_bytes_ + output_gradient_.bytes() + input_gradient_.bytes() + rows_bytes_;
}

void FusedAttention::bind(const Ports& ports) {
  ports_ = ports;
  std::byte* next = static_cast<std::byte*>(ports.scratch) + library_bytes_;
  const auto take = [&](std::size_t bytes) { return std::exchange(next, next + bytes); };
  const auto numbers = [](const void* data) { return static_cast<const std::uint16_t*>(data); };
  if (backward_ != nullptr) {
    output_gradient_.bind(ports.output_gradient, take(output_gradient_.bytes()));
    input_gradient_.bind(ports.input_gradient, take(input_gradient_.bytes()));
    at_.row_sums = reinterpret_cast<const float*>(take(rows_bytes_));
    at_.output_gradient = numbers(output_gradient_.data());
    at_.input_gradient = numbers(input_gradient_.data());
    next = static_cast<std::byte*>(ports.saved);
  }
  input_.bind(ports.input, take(input_.bytes()));
  output_.bind(ports.output, take(output_.bytes()));
  at_.statistics = reinterpret_cast<const float*>(take(rows_bytes_));
  at_.input = numbers(input_.data());
  at_.output = numbers(output_.data());
}

Status FusedAttention::run(const AttentionPlan& plan, AddressPack& addresses) {
  const Status packed = addresses.pack(plan.addresses(at_), ports_.scratch);
  if (!packed.ok()) return packed.error().in(plan.text());
  RUBATO_ASSIGN(const cudnnHandle_t handle, context_.cudnn_handle());
  return check(cudnnBackendExecute(handle, plan.get(), addresses.get()), "cudnnBackendExecute of {} on stream {}",
               plan.text(), context_.stream.name());
}

Status FusedAttention::forward(const SampleKeys&) {
  RUBATO_TRY(input_.round());
  RUBATO_TRY(run(*forward_, forward_addresses_));
  return output_.widen();
}

Status FusedAttention::backward_data() {
  RUBATO_TRY(output_gradient_.round());
  RUBATO_TRY(run(*backward_, backward_addresses_));
  return input_gradient_.widen();
}

}  // namespace

Result<std::unique_ptr<Op>> make_fused_attention(const CudaContext& context, const AttentionDesc& desc,
                                                 const PlanHint& hint) {
  const auto none = [] { return std::unique_ptr<Op>(); };
  if (context.precision != Precision::kBfloat16 || !AttentionPlan::fits(desc)) return none();
  RUBATO_ASSIGN(const int gpu, compute_capability(context.ordinal));
  if (gpu < kFirstGpu || gpu > kLastGpu || cudnnGetVersion() < kFirstVersion) return none();
  RUBATO_ASSIGN(const cudnnHandle_t handle, context.cudnn_handle());
  SharedPlan backward;
  if (hint.training && hint.input_gradient) {
    RUBATO_ASSIGN(backward, context.attention_plans->find(handle, desc, AttentionCall::kBackward));
    if (backward == nullptr) return none();
  }
  RUBATO_ASSIGN(SharedPlan forward, context.attention_plans->find(handle, desc, AttentionCall::kForward));
  if (forward == nullptr) return none();
  return std::unique_ptr<Op>(std::make_unique<FusedAttention>(context, desc, std::move(forward), std::move(backward)));
}

}  // namespace rubato::kernels::cuda
