#include "kernels/cuda/cudnn.h"

#include <algorithm>
#include <array>

namespace rubato::kernels::cuda {

Status cudnn_is_there() {
  if (cudnnGetVersion() != 0) return {};
  return Error{Cause::kDevice, cudnnGetErrorString(CUDNN_STATUS_NOT_INITIALIZED)};
}

std::string cudnn_remark() {
  std::array<char, 512> text{};
  cudnnGetLastErrorString(text.data(), text.size());
  std::string remark(text.data());
  std::ranges::replace(remark, '\n', ' ');
  return remark.empty() ? remark : " (" + remark + ")";
}

Result<cudnnHandle_t> CudnnHandle::on(const Stream& stream) {
  if (handle_ != nullptr) return handle_.get();
  cudnnHandle_t handle = nullptr;
  RUBATO_TRY(check(cudnnCreate(&handle), "cudnnCreate"));
  decltype(handle_) owner(handle);
  RUBATO_TRY(check(cudnnSetStream(handle, stream.get()), "cudnnSetStream of stream {}", stream.name()));
  handle_ = std::move(owner);
  return handle_.get();
}

}  // namespace rubato::kernels::cuda
