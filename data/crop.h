// Which part of an image becomes an input, as torchvision's transforms choose it.
//
// In training RandomResizedCrop: a part whose area is a random share of the image, and whose shape a random ratio, is
// brought to the input's size; RandomHorizontalFlip then. In evaluation Resize, of the short side, and CenterCrop.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>

#include "base/job.h"
#include "base/rng.h"

namespace rubato::data {

struct Box {
  std::int64_t top = 0, left = 0, height = 0, width = 0;
  friend bool operator==(const Box&, const Box&) = default;
};

// One direction of a resize: output i stands for what lies around `first` + (i + 1/2) `step` of the pixels
// [from, to), and no pixel outside of these is looked at.
struct Axis {
  double first = 0.0, step = 1.0;
  std::int64_t from = 0, to = 0, outputs = 0;
  friend bool operator==(const Axis&, const Axis&) = default;
};

struct View {
  Axis rows, columns;
  bool mirrored = false;  // left and right change places
};

// Szegedy et al., "Going deeper with convolutions" (CVPR 2015), section 6: ten tries for a part that lies within the
// image, and then the largest one in the middle whose ratio is allowed.
[[nodiscard]] Box random_box(std::int64_t height, std::int64_t width, const DataConfig& config, RandomStream& random);

// Of an image of this size. The stream is that of one sample in one epoch (crop_stream).
[[nodiscard]] View training_view(std::int64_t height, std::int64_t width, const DataConfig& config,
                                 RandomStream& random);
[[nodiscard]] View center_view(std::int64_t height, std::int64_t width, const DataConfig& config);

[[nodiscard]] RandomStream crop_stream(std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample);

// The short side before the centre is cut out: data.resize, or 8/7 of data.image_size (256 for 224).
[[nodiscard]] std::int64_t resized_side(const DataConfig& config);

}  // namespace rubato::data
