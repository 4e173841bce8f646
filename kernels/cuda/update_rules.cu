#include <algorithm>

#include "kernels/cuda/update_rules.h"

namespace rubato::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;
// Enough blocks to fill the largest device (8 of 256 threads on each of about 150 processors); the
// grid-stride loop does the rest.
constexpr std::size_t kBlocksMax = 1200;

__device__ std::size_t first_index() { return std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ std::size_t stride() { return std::size_t{gridDim.x} * blockDim.x; }

// By value: functor and pointers travel in the kernel's constant bank.
template <typename Rule>
__global__ void update_kernel(Rule rule, Planes planes, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += stride()) update_element(rule, planes, i);
}

template <typename Part>
__global__ void part_kernel(Part part, PartPlanes planes, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += stride()) add_element(part, planes, i);
}

__global__ void sum_kernel(float* sum, const float* addend, std::size_t count) {
  for (std::size_t i = first_index(); i < count; i += stride()) sum[i] += addend[i];
}

template <typename... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), std::size_t count, cudaStream_t stream, Parameters... arguments) {
  if (count == 0) return cudaSuccess;  // a grid of no blocks would be an error
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(std::min((count + kThreads - 1) / kThreads, kBlocksMax)));
  config.blockDim = dim3(kThreads);
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

}  // namespace

template <typename Rule>
cudaError_t enqueue_update(const Rule& rule, const Planes& planes, std::size_t count, cudaStream_t stream) {
  return launch(update_kernel<Rule>, count, stream, rule, planes, count);
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
  return launch(part_kernel<Part>, count, stream, part, planes, count);
}

template cudaError_t enqueue_part(const PlainPart&, const PartPlanes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_part(const ConstantPart&, const PartPlanes&, std::size_t, cudaStream_t);
template cudaError_t enqueue_part(const AdaptivePart&, const PartPlanes&, std::size_t, cudaStream_t);

cudaError_t enqueue_sum(float* sum, const float* addend, std::size_t count, cudaStream_t stream) {
  return launch(sum_kernel, count, stream, sum, addend, count);
}

}  // namespace rubato::kernels::cuda
