// A job for who has its data: load_job, and a look at the files that [data] names.
//
// Whether they are there, can be read, and begin as their kind does: what costs a few bytes of each, so that a mistyped
// path is told before anything starts, and with its key. What else is wrong with them their readers say, who look at
// all of it (data/). Not everybody who takes part in a job has its data: servers and the scheduler read none.
//
// Thread-safety: pure functions over files.
#pragma once

#include <string>
#include <vector>

#include "base/job.h"

namespace rubato {

// Errors: those of load_job; kData: file, line and key of what is wrong, the path, what was expected and found.
[[nodiscard]] Result<Job> load_job_and_see_data(const std::string& path, const Overrides& overrides = {});

// What a person should know of the files of a valid job, beside job_notes: keys of [data] that do nothing with them.
[[nodiscard]] std::vector<std::string> data_notes(const Job& job);

}  // namespace rubato
