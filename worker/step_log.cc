#include "worker/step_log.h"

#include "base/ids.h"
#include "base/life_file.h"

namespace rubato::worker {

Result<StepLog> StepLog::create(const std::string& run_dir, std::uint32_t rank) {
  RUBATO_ASSIGN(const LifeFile file, create_life_file(run_dir + "/steps", worker_node(rank).name(), "csv"));
  return StepLog(rank, ::fdopen(file.descriptor, "w"));
}

void StepLog::add(TimeNs step) {
  std::fprintf(file_.get(), "%u,%.4f\n", rank_, static_cast<double>(step) / kMillisecond);
}

}  // namespace rubato::worker
