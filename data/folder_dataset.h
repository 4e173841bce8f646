// The kind folder: images in folders (data/picture_folder.h), which are decoded when they are asked for, by a team of
// threads that share each batch, and kept decoded as far as data.cache_mb goes (data/picture_cache.h).
//
// In training a random part of an image, mirrored or not, is brought to data.image_size (data/crop.h); else its middle.
// Bits depend neither on the number of readers nor on the cache.
#pragma once

#include <memory>

#include "data/dataset.h"

namespace rubato::data {

// The fingerprint is over names, lengths and beginnings of the files: all of them are opened for it, and looked at
// (examine_picture), by data.readers threads.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_folder_dataset(const Job& job, Split split);
[[nodiscard]] Result<DatasetSize> size_of_folder_dataset(const Job& job, Split split);
// An image, or all in a folder and below it, without labels: theirs are 0. What only decoding shows to be damaged is
// not skipped. Classes are called as was `fitted`; where that is null, as in the job's training part, if it is there.
// Errors: kData.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_folder_inputs(const Job& job, const std::string& path,
                                                                  const Fitted* fitted);
// All images of another folder, in folders of the same classes; of one with parts, those of its test part. Errors:
// kData.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_folder_file(const Job& job, const std::string& path,
                                                                const Fitted* fitted);

}  // namespace rubato::data
