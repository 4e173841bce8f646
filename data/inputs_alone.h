// Samples to predict for: the inputs of a file that has no labels, brought into the form in which the job's model was
// given its own.
//
// Thread-safety: a pure function over files.
#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"

namespace rubato::data {

// Of jobs on images (idx, npy, npz, cifar) an idx or npy file, whichever it is, normalized as the job says; of tables
// (csv) one with the same input columns, scaled by the job's training part; of folders of images an image, or a folder
// of them. Labels and targets are 0. `lengths`: beside an npy file, one that says how long its sequences are; empty:
// they are whole. Errors: kData; kUsage, of other kinds.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_inputs_alone(const Job& job, const std::string& path,
                                                                 const std::string& lengths = {});

}  // namespace rubato::data
