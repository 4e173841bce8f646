// What a job will take of memory, before it starts: of all its processes on one host together, each thing by name.
//
// Whoever allocates a thing says here how large it is: the pools of slots (server/pool_plan.h), the arenas
// (worker/slice_layout.h), the model's plans (model/model.h), the data sets. So it stands where all roles are known.
// What the programs themselves take is a number for each of them; what CUDA takes of a GPU for itself is not known.
// Messages under way are not counted: over shared memory they are the gradients and slots themselves, over sockets they
// come on top.
//
// Thread-safety: a function of the job, but for the files of the data, whose headers are read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"

namespace rubato::sim {

struct MemoryRow {
  enum class Kind : std::uint8_t {
    kAll,
    kAtMost,  // it may be less, or nothing, and differ from moment to moment
    kOnGpu,   // and not on the host
    kInOne    // at least, in a single process: part of the others, and not beside them
  };
  std::string what;
  std::uint64_t bytes = 0;
  Kind kind = Kind::kAll;
};
[[nodiscard]] const char* name_of(MemoryRow::Kind kind);  // all, at-most, on-gpu, in-one

// The job is valid. It makes the model's plans, and lets go of them again. `run_dir`: where plan.json is, if the job
// has one already. Errors: kData, kDevice, kUsage.
[[nodiscard]] Result<std::vector<MemoryRow>> estimate_memory(const Job& job, const std::string& run_dir = "");

}  // namespace rubato::sim
