// The factories of the CPU's operations, one source each. All but those that use no oneDNN may throw
// dnnl::error; cpu_device.cc catches it. The context must outlive the Op.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "kernels/cpu/primitive.h"

namespace rubato::kernels {

std::unique_ptr<Op> make_op(const CpuContext& context, const DenseDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const ConvolutionDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const ActivationDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const DropoutDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const LayerNormDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const GroupNormDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const EmbeddingDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const AttentionDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const RecurrentDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const GlobalAverageDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const AddDesc& desc, const PlanHint& hint);
std::unique_ptr<Op> make_op(const CpuContext& context, const BatchNormDesc& desc, const PlanHint& hint);
std::unique_ptr<Loss> make_loss(const CpuContext& context, const LossDesc& desc);
std::unique_ptr<Rbm> make_rbm(const CpuContext& context, const RbmDesc& desc);

}  // namespace rubato::kernels
