#include "kernels/gpu_name.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <iterator>
#include <system_error>

namespace rubato::kernels {

// A number that no machine has stays no number.
bool is_gpu_name(std::string_view name) {
  constexpr std::string_view kPrefix = "cuda:";
  if (name == "cuda") return true;
  if (!name.starts_with(kPrefix) || name.size() == kPrefix.size()) return false;
  return name.find_first_not_of("0123456789", kPrefix.size()) == std::string_view::npos;
}

Result<int> gpu_number(std::string_view name) {
  int number = 0;
  if (const std::string_view digits = name.substr(4); !digits.empty()) {
    const auto [end, error] = std::from_chars(digits.begin() + 1, digits.end(), number);
    if (error != std::errc{}) return Error{Cause::kDevice, "no machine has so many GPUs"};
  }
  return number;
}

// One directory for each GPU.
std::string gpus_found() {
  std::error_code error;
  const std::filesystem::directory_iterator entries("/proc/driver/nvidia/gpus", error);
  if (error) return "this machine shows no NVIDIA driver";
  const auto count = std::distance(begin(entries), end(entries));
  return fmt::format("this machine's NVIDIA driver shows {} GPU{}", count, count == 1 ? "" : "s");
}

}  // namespace rubato::kernels
