// The arrays of an npz archive by the parts of a data set: train_images, train_labels, val_images, ..., test_labels.
//
// Thread-safety: pure functions.
#pragma once

#include <string>

#include "data/dataset.h"
#include "data/zip_file.h"

namespace rubato::data {

// "train", "val" or "test": with what the names of a part's arrays begin.
[[nodiscard]] std::string npz_part(Split split);

// Whether the images and labels of that part are there.
[[nodiscard]] bool has_npz_part(const ZipFile& zip, Split split);
// The same. Errors: kData: which are not, what is there, and what to do.
[[nodiscard]] Status check_npz_part(const ZipFile& zip, const std::string& path, Split split);

}  // namespace rubato::data
