#include "base/processor.h"

#include <fstream>

namespace rubato {
namespace {

std::string model_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const std::size_t at = line.find_first_not_of(" \t", line.find(':') + 1);
    return at == std::string::npos ? "" : line.substr(at);
  }
  return "unknown processor";
}

const char* widest_vectors() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return ", avx512f";
  if (__builtin_cpu_supports("avx2")) return ", avx2";
  if (__builtin_cpu_supports("avx")) return ", avx";
#endif
  return "";
}

}  // namespace

std::string processor_description() { return model_name() + widest_vectors(); }

}  // namespace rubato
