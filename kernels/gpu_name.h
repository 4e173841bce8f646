// How a job names a GPU, and what a machine without CUDA can say of its GPUs.
//
// Thread-safety: pure, but for what it reads of the machine.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rubato::kernels {

// "cuda", which is the first one, or "cuda:N".
[[nodiscard]] bool is_gpu_name(std::string_view name);
// Of such a name. Errors: kDevice, for a number that no machine has.
[[nodiscard]] Result<int> gpu_number(std::string_view name);
// What the driver shows without linking against it: "this machine's NVIDIA driver shows 2 GPUs".
[[nodiscard]] std::string gpus_found();

}  // namespace rubato::kernels
