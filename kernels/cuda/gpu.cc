#include "kernels/cuda/gpu.h"

#include <fmt/format.h>

#include "kernels/cuda/cuda_check.h"

namespace rubato::kernels::cuda {
namespace {

Result<cudaDeviceProp> properties_of(int ordinal) {
  cudaDeviceProp properties{};
  RUBATO_TRY(check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties of device {}", ordinal));
  return properties;
}

}  // namespace

Result<std::string> take_gpu(int ordinal) {
  RUBATO_ASSIGN(const int count, device_count());
  if (ordinal >= count)
    return Error{Cause::kDevice, fmt::format("there is no GPU {}: {} can be used, counted from 0", ordinal, count)};
  RUBATO_TRY(check(cudaSetDevice(ordinal), "cudaSetDevice of device {}", ordinal));
  RUBATO_ASSIGN(const cudaDeviceProp properties, properties_of(ordinal));
  int version = 0;
  RUBATO_TRY(check(cudaRuntimeGetVersion(&version), "cudaRuntimeGetVersion"));
  return fmt::format("cuda:{}, {}, CUDA {}.{}", ordinal, properties.name, version / 1000, version % 1000 / 10);
}

Result<int> compute_capability(int ordinal) {
  RUBATO_ASSIGN(const cudaDeviceProp properties, properties_of(ordinal));
  return 10 * properties.major + properties.minor;
}

}  // namespace rubato::kernels::cuda
