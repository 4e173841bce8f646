// cuDNN's handle, and its errors as Status: the one place where a cudnnStatus_t becomes an Error.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cudnn.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "kernels/cuda/cuda_check.h"

namespace rubato::kernels::cuda {

// Whether there is one to be opened. Errors: kDevice.
[[nodiscard]] Status cudnn_is_there();

// What cuDNN says that it does not say by its status: empty, or " (...)", on one line.
[[nodiscard]] std::string cudnn_remark();

template <typename... Arguments>
Status check(cudnnStatus_t status, fmt::format_string<Arguments...> what, Arguments&&... arguments) {
  if (status == CUDNN_STATUS_SUCCESS) return {};
  return Error{Cause::kDevice, fmt::format("{}: {} ({}){}", fmt::format(what, std::forward<Arguments>(arguments)...),
                                           cudnnGetErrorString(status), static_cast<int>(status), cudnn_remark())};
}

// Of one stream. The library is opened, and the handle made, when the first operation asks for it: a network without
// convolutions and recurrent layers needs no cuDNN.
class CudnnHandle {
 public:
  // The same one each time; the stream must outlive it. Errors: kDevice, also where cuDNN is not installed.
  [[nodiscard]] Result<cudnnHandle_t> on(const Stream& stream);

 private:
  struct Destroy {
    void operator()(cudnnHandle_t handle) const { cudnnDestroy(handle); }
  };
  std::unique_ptr<cudnnContext, Destroy> handle_;
};

}  // namespace rubato::kernels::cuda
