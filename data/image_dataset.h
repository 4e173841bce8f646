// Samples of pixels, in memory as they were in the file and made inputs of when they are asked for: bytes stay bytes,
// and 16 bits stay 16. What the image kinds (idx, npy, npz, cifar) end in.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "data/dataset.h"

namespace rubato::data {

using Pixels = std::variant<std::vector<std::uint8_t>, std::vector<std::uint16_t>, std::vector<float>>;

struct Images {
  SampleShape shape;
  Pixels pixels;                     // sample after sample, channels last
  std::vector<std::int32_t> labels;  // one a sample, or kNoLabel; or none at all, and
  std::vector<float> targets;        // target_floats a sample
  std::int64_t target_floats = 0;
  // Of sequences: how many of the rows of each sample are there, from 1 on; or none at all. What is behind them is an
  // input of zeros, whatever it was.
  std::vector<std::int32_t> lengths;
  // Not hashed, nor is what follows: the scale of targets and the names of classes come from it. Or none.
  std::shared_ptr<const Fitted> fitted;
  std::vector<std::uint64_t> lines;  // that samples are, where they are lines of
  std::string lines_of;              // this file
};

// What is hashed: `kind`, which says shape and types in words, then pixels, labels, targets and lengths. Errors: kData,
// if data.mean and data.stddev are for another number of channels; `file` is what they blame.
[[nodiscard]] Result<std::unique_ptr<Dataset>> make_image_dataset(Images images, const DataConfig& config,
                                                                  const std::string& kind, const std::string& file);

// N x features (read as 1 x 1 x features), N x height x width (one channel), N x height x width x channels.
// Errors: kData.
[[nodiscard]] Result<SampleShape> image_shape(const std::string& file, const std::vector<std::int64_t>& extents);

}  // namespace rubato::data
