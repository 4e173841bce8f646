// JPEG, by libjpeg-turbo, whose types and jumps stay in the source.
//
// Errors say what is wrong without saying where: whoever knows the file puts its name before.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "data/picture.h"

namespace rubato::data {

[[nodiscard]] bool is_jpeg(std::span<const std::uint8_t> bytes);
// `bytes` may be the beginning alone. Errors: kData: damaged, or what the header needs lies further on.
[[nodiscard]] Result<PictureHeader> read_jpeg_header(std::span<const std::uint8_t> bytes);

// An image of this size is decoded at so many eighths: the least of 1, 2, 4 and 8 at which its short side keeps
// `least_side` pixels. A function of the image alone, so that an image that is kept and one that is decoded again are
// the same, whatever part of it is cut out.
[[nodiscard]] int jpeg_eighths(const PictureHeader& header, std::int64_t least_side);
// Its height and width then.
[[nodiscard]] PictureHeader jpeg_scaled(const PictureHeader& header, std::int64_t least_side);

// Errors: kData: cut off, damaged, or no image that has wish.channels. Reuses the memory of `picture`.
[[nodiscard]] Status decode_jpeg(std::span<const std::uint8_t> bytes, const DecodeWish& wish, Picture& picture);

}  // namespace rubato::data
