#include <fmt/format.h>

#include "kernels/gpu_name.h"
#include "kernels/update_device.h"
#ifdef RUBATO_HAVE_CUDA
#include "kernels/cuda/update_device.h"
#endif

namespace rubato::kernels {
namespace {

Result<std::unique_ptr<UpdateDevice>> open_gpu(const std::string& name) {
#ifdef RUBATO_HAVE_CUDA
  RUBATO_ASSIGN(const int number, gpu_number(name));
  return cuda::open_cuda_update_device(number);
#else
  return Error{Cause::kDevice, "this build has no CUDA"};
#endif
}

}  // namespace

Result<std::unique_ptr<UpdateDevice>> open_update_device(const std::string& name) {
  if (name == "cpu") return std::unique_ptr<UpdateDevice>();
  if (!is_gpu_name(name))
    return Error{Cause::kUsage, fmt::format("unknown device \"{}\" of servers: cpu, cuda and cuda:N are known", name)};
  auto device = open_gpu(name);
  if (device.ok()) return device;
  return Error{Cause::kDevice, fmt::format("server.device = \"{}\" was asked for: {}; {}: say server.device = \"cpu\"",
                                           name, device.error().message, gpus_found())};
}

}  // namespace rubato::kernels
