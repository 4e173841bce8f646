// The last words on a simulated job.
//
// Thread-safety: pure functions, the file system aside.
#pragma once

#include <string>

#include "base/job.h"
#include "sim/profile.h"
#include "sim/sim_result.h"

namespace rubato::sim {

// Of a job that ended in order: the table of its evaluation, what came out, and where it is. Of a text a line stands
// for the table, which has a row for each byte that occurs.
[[nodiscard]] std::string summary_text(const SimResult& result, const Job& job, const std::string& run_dir,
                                       TimeNs real_time);

// Where the real time went.
[[nodiscard]] std::string profile_text(const Profile& profile, const SimResult& result);

}  // namespace rubato::sim
