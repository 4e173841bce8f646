#include "data/crop.h"

#include <algorithm>
#include <cmath>

namespace rubato::data {
namespace {

double between(double low, double high, RandomStream& random) { return low + (high - low) * random.next_unit(); }

// Halves to the even neighbour, as Python's round does.
std::int64_t rounded(double value) { return static_cast<std::int64_t>(std::nearbyint(value)); }

Axis of_box(std::int64_t from, std::int64_t count, std::int64_t outputs) {
  return {.first = static_cast<double>(from),
          .step = static_cast<double>(count) / static_cast<double>(outputs),
          .from = from,
          .to = from + count,
          .outputs = outputs};
}

// `outputs` in the middle of `pixels` that are brought to `resized`.
Axis of_middle(std::int64_t pixels, std::int64_t resized, std::int64_t outputs) {
  const double step = static_cast<double>(pixels) / static_cast<double>(resized);
  const std::int64_t skipped = rounded(static_cast<double>(resized - outputs) / 2.0);
  return {.first = static_cast<double>(skipped) * step, .step = step, .from = 0, .to = pixels, .outputs = outputs};
}

}  // namespace

Box random_box(std::int64_t height, std::int64_t width, const DataConfig& config, RandomStream& random) {
  const auto image_height = static_cast<double>(height), image_width = static_cast<double>(width);
  const double least = config.crop_ratio.front(), greatest = config.crop_ratio.back();
  for (int tries = 0; tries < 10; ++tries) {
    const double area = image_height * image_width * between(config.crop_area.front(), config.crop_area.back(), random);
    const double ratio = std::exp(between(std::log(least), std::log(greatest), random));
    const std::int64_t w = rounded(std::sqrt(area * ratio)), h = rounded(std::sqrt(area / ratio));
    if (w <= 0 || w > width || h <= 0 || h > height) continue;
    const auto top = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(height - h + 1)));
    const auto left = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(width - w + 1)));
    return {.top = top, .left = left, .height = h, .width = w};
  }
  Box box{.top = 0, .left = 0, .height = height, .width = width};
  const double ratio = image_width / image_height;
  if (ratio < least) box.height = std::clamp<std::int64_t>(rounded(image_width / least), 1, height);
  if (ratio > greatest) box.width = std::clamp<std::int64_t>(rounded(image_height * greatest), 1, width);
  box.top = (height - box.height) / 2;
  box.left = (width - box.width) / 2;
  return box;
}

View training_view(std::int64_t height, std::int64_t width, const DataConfig& config, RandomStream& random) {
  View view;
  if (config.crop == "random") {
    const Box box = random_box(height, width, config, random);
    view.rows = of_box(box.top, box.height, config.image_size);
    view.columns = of_box(box.left, box.width, config.image_size);
  } else {
    view = center_view(height, width, config);
  }
  view.mirrored = random.next_unit() < config.flip;
  return view;
}

View center_view(std::int64_t height, std::int64_t width, const DataConfig& config) {
  const std::int64_t side = resized_side(config), shorter = std::min(height, width);
  const auto resized = [&](std::int64_t pixels) { return pixels == shorter ? side : side * pixels / shorter; };
  return {.rows = of_middle(height, resized(height), config.image_size),
          .columns = of_middle(width, resized(width), config.image_size)};
}

RandomStream crop_stream(std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample) {
  return RandomStream(stream_key(stream_key(seed, "crop", epoch), "sample", sample));
}

std::int64_t resized_side(const DataConfig& config) {
  return config.resize != 0 ? config.resize : (config.image_size * 8 + 3) / 7;
}

}  // namespace rubato::data
