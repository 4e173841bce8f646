#include "worker/step_log.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/ids.h"

namespace rubato::worker {

Result<StepLog> StepLog::create(const std::string& run_dir, std::uint32_t rank) {
  const std::string folder = run_dir + "/steps";
  ::mkdir(folder.c_str(), 0777);  // others make it too; opening the file tells
  const std::string path = fmt::format("{}/{}.csv", folder, worker_node(rank).name());
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return Error{Cause::kStorage, fmt::format("cannot write {}: {}", path, std::strerror(errno))};
  return StepLog(rank, file);
}

void StepLog::add(TimeNs step) {
  std::fprintf(file_.get(), "%u,%.4f\n", rank_, static_cast<double>(step) / kMillisecond);
}

}  // namespace rubato::worker
