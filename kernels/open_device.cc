#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/planned_device.h"

namespace rubato::kernels {
namespace {

// What the driver shows without linking against it: one directory for each GPU.
std::string gpus_found() {
  std::error_code error;
  const std::filesystem::directory_iterator entries("/proc/driver/nvidia/gpus", error);
  if (error) return "this machine shows no NVIDIA driver";
  const auto count = std::distance(begin(entries), end(entries));
  return fmt::format("this machine's NVIDIA driver shows {} GPU{}", count, count == 1 ? "" : "s");
}

// "cuda" is the first one.
bool is_cuda_name(std::string_view name) {
  constexpr std::string_view kPrefix = "cuda:";
  if (name == "cuda") return true;
  if (!name.starts_with(kPrefix) || name.size() == kPrefix.size()) return false;
  return name.find_first_not_of("0123456789", kPrefix.size()) == std::string_view::npos;
}

Result<std::unique_ptr<Device>> open(const DeviceConfig& config, std::shared_ptr<const PlanBook> plan,
                                     PlanBook* measured) {
  const std::string& name = config.name;
  if (name == "cpu" || name == "auto") return open_cpu_device(config, std::move(plan), measured);
  if (is_cuda_name(name)) {
    return Error{Cause::kDevice, fmt::format("device \"{}\" was asked for, but this build computes models on the CPU "
                                             "only, and {}: say worker.device = \"auto\" or \"cpu\"",
                                             name, gpus_found())};
  }
  return Error{Cause::kUsage, fmt::format("unknown device \"{}\": auto, cpu, cuda and cuda:N are known", name)};
}

}  // namespace

Result<std::unique_ptr<Device>> open_device(const DeviceConfig& config) { return open(config, nullptr, nullptr); }

Result<std::unique_ptr<Device>> open_planned_device(const DeviceConfig& config, std::shared_ptr<const PlanBook> plan) {
  return open(config, std::move(plan), nullptr);
}

Result<std::unique_ptr<Device>> open_measuring_device(const DeviceConfig& config, PlanBook& book) {
  RUBATO_ASSIGN(auto device, open(config, nullptr, &book));
  book = PlanBook(device->description());
  return device;
}

}  // namespace rubato::kernels
