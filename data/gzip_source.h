// The bytes of a file, decompressed on the way if it is a gzip file (zlib decides by its first two bytes).
#pragma once

#include <memory>
#include <string>

#include "data/byte_source.h"

namespace rubato::data {

// Errors: kData, starting with the path.
[[nodiscard]] Result<std::unique_ptr<ByteSource>> open_file(const std::string& path);

}  // namespace rubato::data
