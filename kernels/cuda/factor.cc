#include "kernels/cuda/factor.h"

#include "kernels/cuda/rounding_kernel.h"

namespace rubato::kernels::cuda {

Status NarrowTensor::launched(cudaError_t error, const char* kernel) const {
  return check(error, "launch of what {} {} numbers of bfloat16 on stream {}", kernel, count_, context_->stream.name());
}

Status Factor::round() const {
  if (!narrow_) return {};
  return launched(enqueue_round(tensor_, room_, count_, context_->stream.get()), "rounds");
}

Status NarrowResult::widen() const {
  if (!narrow_) return {};
  return launched(enqueue_widen(room_, tensor_, count_, context_->stream.get()), "widens");
}

}  // namespace rubato::kernels::cuda
