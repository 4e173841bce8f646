// PNG, by libpng, whose types and jumps stay in the source.
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

[[nodiscard]] bool is_png(std::span<const std::uint8_t> bytes);
// `bytes` may be the beginning alone. Errors: kData: damaged, or what the header needs lies further on.
[[nodiscard]] Result<PictureHeader> read_png_header(std::span<const std::uint8_t> bytes);

// 16 bits stay 16. Colours of a palette are looked up, alpha is left out, gray of fewer bits is stretched to 8: what
// PIL's convert("RGB") and convert("L") do. Errors: kData: cut off, damaged (checksums are compared). Reuses the memory
// of `picture`.
[[nodiscard]] Status decode_png(std::span<const std::uint8_t> bytes, const DecodeWish& wish, Picture& picture);

}  // namespace rubato::data
