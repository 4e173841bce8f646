// What the parameters of a job with model.pretrained begin with.
//
// Thread-safety: a pure function over a file.
#pragma once

#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"

namespace rubato::exchange {

// Of a network on data of this shape, one parameter after the other, in the manifest's order and layouts; what
// model.skip names is drawn from the job's seed. Errors: those of read_weights; kData: the file is not the one that
// the job was resolved with.
[[nodiscard]] Result<std::vector<float>> pretrained_weights(const Job& job, const data::DatasetSize& data);

}  // namespace rubato::exchange
