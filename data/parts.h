// Which parts a job's data has: for training, for validation, for the test.
//
// Thread-safety: pure functions; has_part looks at files.
#pragma once

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"

namespace rubato::data {

// Whether the job names such a part. parse_job lets no job through that would evaluate on another, but people may ask
// for any. Errors: kData, with advice for who trains.
[[nodiscard]] Status check_part(const DataConfig& data, Split split);

// Whether the job's data has that part, as far as the job, names of folders and names of arrays tell: for who asks for
// any of them and wants no advice about training. True where that cannot be told: whoever opens it hears why.
[[nodiscard]] bool has_part(const Job& job, Split split);

}  // namespace rubato::data
