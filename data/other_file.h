// Samples of a file that the job does not name, brought into the form in which its model was given its own: to predict
// for, or to evaluate on.
//
// Thread-safety: a pure function over files.
#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"

namespace rubato::data {

// The inputs alone. Of jobs on images (idx, npy, npz, cifar) an idx or npy file, whichever it is, normalized as the job
// says; of tables (csv, series) one with the same input columns, scaled as was `fitted`; of libsvm a file, scaled by
// the job's training part; a text; of folders of images an image, or a folder of them. Labels and targets are 0.
// `lengths`: beside an npy file, one that says how long its sequences are; empty: they are whole. `fitted` may be null:
// then the job's training part is read for it. Errors: kData; kUsage, of other kinds.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_inputs_alone(const Job& job, const std::string& path,
                                                                 const std::string& lengths = {},
                                                                 const Fitted* fitted = nullptr);

// Whether the job's kind of data (csv, folder, libsvm, series, text) is one that is split, or learns from its training
// part: then this reads all of another file, with its labels or targets, as a part of the job's data. Errors: kData.
[[nodiscard]] bool reads_answered_file(const Job& job);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_answered_file(const Job& job, const std::string& path,
                                                                  const Fitted* fitted = nullptr);

}  // namespace rubato::data
