#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <string_view>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_device.h"

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

bool is_cuda_name(std::string_view name) {
  constexpr std::string_view prefix = "cuda:";
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  unsigned ordinal = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), ordinal);
  return error == std::errc{} && end == name.data() + name.size();
}

}  // namespace

Result<std::unique_ptr<Device>> open_device(const std::string& name, int threads) {
  if (name == "cpu" || name == "auto") return open_cpu_device(threads);
  if (is_cuda_name(name)) {
    return Error{Cause::kDevice, fmt::format("device \"{}\" was asked for, but this build computes models on the CPU "
                                             "only, and {}: say worker.device = \"auto\" or \"cpu\"",
                                             name, gpus_found())};
  }
  return Error{Cause::kUsage, fmt::format("unknown device \"{}\": auto, cpu and cuda:N (cuda:0) are known", name)};
}

}  // namespace rubato::kernels
