// A CUDA GPU as a device: cuBLASLt for products, cuDNN for convolutions, kernels of our own for the rest, all on one
// stream, and copies on two others (kernels/cuda/cuda_context.h). It has every operation, in float32, and with TF32 or
// bfloat16 multiplied where that is asked for (Precision).
//
// State of this code: it compiles and links for sm_80 and sm_90, and passes the contract tests on a functional fake of
// CUDA (tests/cuda_fake). It has never run on a GPU, for want of one.
//
// Thread-safety: as a Device's.
#pragma once

#include <memory>

#include "base/result.h"
#include "kernels/backend.h"

namespace rubato::kernels::cuda {

// Of the GPU with this number. Errors: kDevice.
[[nodiscard]] Result<std::unique_ptr<Device>> open_cuda_device(const DeviceConfig& config, int ordinal);
// The first one, if any network can be computed there: a device that opens may still want cuDNN for some operations.
[[nodiscard]] Result<std::unique_ptr<Device>> open_complete_cuda_device(const DeviceConfig& config);

}  // namespace rubato::kernels::cuda
