#include "base/straggler_trace.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

#include "base/real_number.h"
#include "base/whole_number.h"

namespace rubato {
namespace {

constexpr double kStepMsMax = 1e9;

}  // namespace

Result<std::vector<std::vector<TimeNs>>> read_straggler_trace(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    return Error{Cause::kData, fmt::format("the trace {}: {}; name a file of lines like 0,12.5 (worker, ms of a step), "
                                           "as a run leaves in steps/",
                                           path, std::strerror(errno))};
  std::map<std::int64_t, std::vector<TimeNs>> by_worker;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    const std::size_t comma = line.find(',');
    const auto worker = whole_number(std::string_view(line).substr(0, comma));
    const auto step_ms =
        comma == std::string::npos ? std::nullopt : real_number(std::string_view(line).substr(comma + 1));
    if (!worker || !step_ms || *step_ms > kStepMsMax)
      return Error{Cause::kData, fmt::format("{}:{}: expected a line like 0,12.5 (worker, ms of a step), found \"{}\"",
                                             path, number, line.substr(0, 60))};
    by_worker[*worker].push_back(static_cast<TimeNs>(*step_ms * kMillisecond));
  }
  if (by_worker.empty()) return Error{Cause::kData, fmt::format("the trace {} has no steps in it", path)};
  std::vector<std::vector<TimeNs>> steps;
  steps.reserve(by_worker.size());
  for (auto& [worker, times] : by_worker) steps.push_back(std::move(times));
  return steps;
}

}  // namespace rubato
