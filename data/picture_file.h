// Files of images: JPEG or PNG, by what is in them and not by their names.
//
// Errors: kData, starting with the file's path.
//
// Thread-safety: pure functions of the files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/picture.h"

namespace rubato::data {

struct PictureFacts {
  std::uint64_t file_bytes = 0;
  std::uint64_t begin_hash = 0;     // of the first 16 KiB
  std::uint64_t decoded_bytes = 0;  // in memory, decoded as wished
  std::uint64_t working_bytes = 0;  // that read_picture takes, with its result and what is made of that, about
};

// Looks at the beginning of a file, whether its header is one, and at its end, whether it is there: that costs little
// beside decoding it. Where one of them is not as usual the file is decoded, and that decides. What is damaged between
// them is found by read_picture.
[[nodiscard]] Result<PictureFacts> examine_picture(const std::string& path, const DecodeWish& wish);

// Decodes it. `file` is memory to read it into; both are reused.
[[nodiscard]] Status read_picture(const std::string& path, const DecodeWish& wish, std::vector<std::uint8_t>& file,
                                  Picture& picture);

}  // namespace rubato::data
