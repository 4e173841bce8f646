// Idx files for tests, right and wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rubato::data::test {

// Header for `extents`, then `values` as they are, whether they fit or not.
[[nodiscard]] std::string idx_bytes(const std::vector<std::uint32_t>& extents, const std::string& values,
                                    std::uint8_t type = 0x08);
[[nodiscard]] std::string gzip(const std::string& bytes);
void write_bytes(const std::string& path, const std::string& bytes);

}  // namespace rubato::data::test
