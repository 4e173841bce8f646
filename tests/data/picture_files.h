// Images for tests: pictures that differ in every pixel, as bytes of PNG and JPEG files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/picture.h"

namespace rubato::data::test {

// A soft pattern (JPEG keeps it well) that no flip, shift or exchange of channels leaves as it is.
[[nodiscard]] Picture pattern(std::int64_t height, std::int64_t width, std::int64_t channels, int bits = 8);

struct PngForm {
  bool palette = false, alpha = false, interlaced = false;
};
[[nodiscard]] std::string png_bytes(const Picture& picture, const PngForm& form = {});

struct JpegForm {
  int quality = 95;
  bool progressive = false, cmyk = false;
};
[[nodiscard]] std::string jpeg_bytes(const Picture& picture, const JpegForm& form = {});

}  // namespace rubato::data::test
