// What lies in a folder, in an order that does not depend on the file system. What has a name that begins with a dot is
// passed over, and so is what is below it.
//
// Errors: kData, naming the folder.
//
// Thread-safety: pure functions of the file system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace rubato::data {

enum class Links : std::uint8_t { kFollow, kPassOver };

// Regular files in it and in folders below, by path.
[[nodiscard]] Result<std::vector<std::filesystem::path>> files_below(const std::filesystem::path& folder, Links links);
// Names of the folders in it, or of links to such.
[[nodiscard]] Result<std::vector<std::string>> folders_in(const std::filesystem::path& folder);

}  // namespace rubato::data
