#include <fmt/format.h>

#include <memory>
#include <utility>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/device_remark.h"
#include "kernels/gpu_name.h"
#include "kernels/planned_device.h"
#ifdef RUBATO_HAVE_CUDA
#include "kernels/cuda/cuda_device.h"
#endif

namespace rubato::kernels {
namespace {

#ifdef RUBATO_HAVE_CUDA
Result<std::unique_ptr<Device>> try_cuda(const DeviceConfig& config) {
  RUBATO_ASSIGN(const int ordinal, gpu_number(config.name));
  return cuda::open_cuda_device(config, ordinal);
}
Result<std::unique_ptr<Device>> try_auto(const DeviceConfig& config) { return cuda::open_complete_cuda_device(config); }
#else
Result<std::unique_ptr<Device>> try_cuda(const DeviceConfig&) {
  return Error{Cause::kDevice, "this build has no CUDA"};
}
Result<std::unique_ptr<Device>> try_auto(const DeviceConfig& config) { return try_cuda(config); }
#endif

Result<std::unique_ptr<Device>> open_cuda(const DeviceConfig& config) {
  auto device = try_cuda(config);
  if (device.ok()) return device;
  return Error{Cause::kDevice,
               fmt::format("device \"{}\" was asked for: {}; {}: say worker.device = \"auto\" or \"cpu\"", config.name,
                           device.error().message, gpus_found())};
}

Result<std::unique_ptr<Device>> open(const DeviceConfig& config, std::shared_ptr<const PlanBook> plan,
                                     PlanBook* measured) {
  const std::string& name = config.name;
  if (name == "auto") {
    if (auto found = try_auto(config); found.ok()) return found;
  }
  if (name == "cpu" || name == "auto") return open_cpu_device(config, std::move(plan), measured);
  if (is_gpu_name(name)) return open_cuda(config);  // has no ways to choose from: a plan has none of it
  return Error{Cause::kUsage, fmt::format("unknown device \"{}\": auto, cpu, cuda and cuda:N are known", name)};
}

}  // namespace

Result<std::unique_ptr<Device>> open_device(const DeviceConfig& config) { return open(config, nullptr, nullptr); }

Result<std::string> device_remark(const DeviceConfig& config) {
  if (config.name == "auto") {
    const auto found = try_auto(config);
    if (found.ok()) return fmt::format("worker.device = \"auto\" takes {}", found.value()->description());
    return fmt::format("worker.device = \"auto\" takes the CPU: no GPU can be used: {}; {}", found.error().message,
                       gpus_found());
  }
  RUBATO_TRY(open_device(config));
  return std::string();
}

Result<std::unique_ptr<Device>> open_planned_device(const DeviceConfig& config, std::shared_ptr<const PlanBook> plan) {
  return open(config, std::move(plan), nullptr);
}

Result<std::unique_ptr<Device>> open_measuring_device(const DeviceConfig& config, PlanBook& book) {
  RUBATO_ASSIGN(auto device, open(config, nullptr, &book));
  book = PlanBook(device->description());
  return device;
}

}  // namespace rubato::kernels
