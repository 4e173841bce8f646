#include <limits>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/update_rules.h"

namespace rubato::kernels::cuda {
namespace {

// By value: functor and pointers travel in the kernel's constant bank.
template <typename Rule>
__global__ void update_kernel(Rule rule, Planes planes, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) update_element(rule, planes, i);
}

template <typename Part>
__global__ void part_kernel(Part part, PartPlanes planes, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) add_element(part, planes, i);
}

__global__ void sum_kernel(float* sum, const float* addend, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += index_stride()) sum[i] += addend[i];
}

// Compared so that what is no number is not finite, either.
__global__ void finite_kernel(const float* values, std::size_t count, int* finite) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (std::size_t i = first_index(); i < count; i += index_stride())
    if (!(fabsf(values[i]) <= kLargest)) atomicMin(finite, 0);
}

}  // namespace

template <typename Rule>
cudaError_t enqueue_update(const Rule& rule, const Planes& planes, std::size_t count, cudaStream_t stream) {
  return launch(update_kernel<Rule>, grid_over(count), stream, rule, planes, count);
}

template cudaError_t enqueue_update(const SgdRule&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const MomentumRule&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const NesterovRule&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const AdamRule&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const DelayedNesterovRule&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const Averaged<SgdRule>&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const Averaged<MomentumRule>&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const Averaged<NesterovRule>&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const Averaged<AdamRule>&, const Planes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_update(const Averaged<DelayedNesterovRule>&, const Planes&, std::size_t, cudaStream_t);

template <typename Part>
cudaError_t enqueue_part(const Part& part, const PartPlanes& planes, std::size_t count, cudaStream_t stream) {
  return launch(part_kernel<Part>, grid_over(count), stream, part, planes, count);
}

template cudaError_t enqueue_part(const PlainPart&, const PartPlanes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_part(const ConstantPart&, const PartPlanes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_part(const AdaptivePart&, const PartPlanes&, std::size_t, cudaStream_t);

cudaError_t enqueue_sum(float* sum, const float* addend, std::size_t count, cudaStream_t stream) {
  return launch(sum_kernel, grid_over(count), stream, sum, addend, count);
}

cudaError_t enqueue_finite(const float* values, std::size_t count, int* finite, cudaStream_t stream) {
  return launch(finite_kernel, grid_over(count), stream, values, count, finite);
}

}  // namespace rubato::kernels::cuda
