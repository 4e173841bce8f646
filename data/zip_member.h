// One member of a zip archive, unpacked while it is read. Internal to data/zip_file.cc.
#pragma once

#include <memory>
#include <string>

#include "data/zip_file.h"

namespace rubato::data {

// `data` is where its packed bytes begin. Errors: kData.
[[nodiscard]] Result<std::unique_ptr<ByteSource>> open_zip_member(const std::string& path,
                                                                  const ZipFile::Member& member, std::uint64_t data);

}  // namespace rubato::data
