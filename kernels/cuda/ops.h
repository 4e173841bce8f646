// The factories of the CUDA device's operations, one source each. The context must outlive the Op. Errors: kDevice.
#pragma once

#include <memory>
#include <utility>

#include "kernels/backend.h"
#include "kernels/cuda/cuda_context.h"

namespace rubato::kernels::cuda {

// An operation whose plan() takes what can fail: memory, or a library's plans.
template <typename Operation, typename... Arguments>
Result<std::unique_ptr<Op>> planned(Arguments&&... arguments) {
  auto op = std::make_unique<Operation>(std::forward<Arguments>(arguments)...);
  RUBATO_TRY(op->plan());
  return std::unique_ptr<Op>(std::move(op));
}

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const DenseDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const ConvolutionDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const PoolDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const ActivationDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const AddDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const DropoutDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const GlobalAverageDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const EmbeddingDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const AttentionDesc& desc, const PlanHint& hint);
// Null: cuDNN has none for it, on this GPU and in this precision. What make_op gives for it then is another way.
Result<std::unique_ptr<Op>> make_fused_attention(const CudaContext& context, const AttentionDesc& desc,
                                                 const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const BatchNormDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const LayerNormDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const GroupNormDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const RecurrentDesc& desc, const PlanHint& hint);
Result<std::unique_ptr<Loss>> make_loss(const CudaContext& context, const LossDesc& desc);
Result<std::unique_ptr<Prefetch>> make_prefetch(const CudaContext& context, std::size_t count);
Result<std::unique_ptr<Rbm>> make_rbm(const CudaContext& context, const RbmDesc& desc);

}  // namespace rubato::kernels::cuda
