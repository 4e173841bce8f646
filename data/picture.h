// An image as its file has it: rows of pixels with their channels side by side, of 8 or of 16 bits.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

namespace rubato::data {

// What the beginning of a file says. Alpha is no channel here; a palette stands for colours.
struct PictureHeader {
  std::int64_t height = 0, width = 0;
  std::int64_t channels = 0;  // 1: gray, 3: colour, 4: CMYK, which becomes colour
  int bits = 8;               // 8 | 16, of a decoded number
  bool in_scans = false;      // of a JPEG: it comes as a whole several times, finer and finer
  friend bool operator==(const PictureHeader&, const PictureHeader&) = default;
};

struct Picture {
  std::int64_t height = 0, width = 0, channels = 0;
  std::variant<std::vector<std::uint8_t>, std::vector<std::uint16_t>> pixels;

  [[nodiscard]] bool wide() const { return pixels.index() == 1; }
  [[nodiscard]] std::uint64_t bytes() const {
    return static_cast<std::uint64_t>(height * width * channels) * (wide() ? sizeof(std::uint16_t) : 1);
  }
};

// What a file is decoded to.
struct DecodeWish {
  std::int64_t channels = 3;    // gray becomes colour where 3 are wanted
  std::int64_t least_side = 0;  // a JPEG that is much larger is decoded smaller (jpeg_eighths); 0: never
};

// So many pixels are no image that anybody trains on, but a header that lies; PIL's limit is near it.
inline constexpr std::int64_t kPicturePixelsMax = std::int64_t{1} << 27;

}  // namespace rubato::data
