// The GPUs of this machine, by their number.
//
// Thread-safety: which GPU a thread's calls are about belongs to the thread.
#pragma once

#include <string>

#include "base/result.h"

namespace rubato::kernels::cuda {

// Makes this GPU the calling thread's, and says what it is: "cuda:0, NVIDIA H100 80GB HBM3, CUDA 13.0". Errors:
// kDevice, where there is none with this number, or no driver.
[[nodiscard]] Result<std::string> take_gpu(int ordinal);
// Of one that was taken: 90 is an H100's, 80 an A100's. Errors: kDevice.
[[nodiscard]] Result<int> compute_capability(int ordinal);

}  // namespace rubato::kernels::cuda
