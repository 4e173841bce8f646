// What each class's part of the loss is multiplied by in training (model.class_weights, model.class_weighting), put so
// that it is 1 on average over the labels of the training part (docs/decisions/class-weights-average-to-one.md).
//
// Thread-safety: a pure function over a data set.
#pragma once

#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"

namespace rubato::worker {

// One for each class, or none where the job weighs none. The same wherever the training part is the same. Errors:
// kData: it has no labels; a label is none of the job's classes.
[[nodiscard]] Result<std::vector<double>> weights_of_classes(const Job& job, const data::Dataset& train);

}  // namespace rubato::worker
