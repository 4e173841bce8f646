// Images and labels in numpy's arrays: `npz`, an archive in the form of MedMNIST (https://medmnist.com: train_images,
// train_labels, val_images, ..., test_labels), or `npy`, a file for each.
//
// Images are uint8, uint16, float32 or float64, N x features, N x height x width or N x height x width x channels;
// labels whole numbers of any width, N or N x 1. Where model.loss = "mse", labels may be floats, N or N x targets.
//
// With train_lengths and so on, whole numbers, samples are sequences, N x positions x features (or x width x channels),
// of which so many positions are there: 1 to all of them.
#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"

namespace rubato::data {

// Errors: kData.
[[nodiscard]] Result<DatasetSize> size_of_npy_dataset(const Job& job, Split split);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_npy_dataset(const Job& job, Split split);
// The images of an npy file alone, with a file of their lengths or none; labels are 0. Errors: kData.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_npy_inputs(const Job& job, const std::string& path,
                                                               const std::string& lengths);

}  // namespace rubato::data
